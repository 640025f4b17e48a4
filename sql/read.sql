-- One chunk: rows of the work list with their present input. A row that is gone has no input.

-- The byte budget is applied before the values are read: `page` carries references to large values.
-- name: page
SELECT ordinal, present, {hash} AS input_hash, {inputs}
FROM (
    SELECT w.ordinal, s.{key} IS NOT NULL AS present, {source_inputs},
           sum({octets}) OVER (ORDER BY w.ordinal) - ({octets}) AS octets_before
    FROM {work} w LEFT JOIN {rows} s ON {joined}
    WHERE {selected}) page
WHERE octets_before < %(octets)s
ORDER BY ordinal;

-- name: selected
w.ordinal > %(after)s AND w.ordinal <= %(upto)s AND NOT w.duplicate

-- For a source in another database: the keys travel as text, the form that they have there.
-- name: keys
SELECT w.ordinal, {keys} FROM {work} w
WHERE w.ordinal > %(after)s AND w.ordinal <= %(upto)s AND NOT w.duplicate ORDER BY w.ordinal;

-- name: sent_keys
(SELECT ordinal, {keys} FROM unnest(%(ordinals)s::bigint[], {arrays}) AS sent (ordinal, {names}))
