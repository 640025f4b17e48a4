-- One chunk: rows of the work list with their present input. A row that is gone has no input.

-- The byte budget is applied before the values are read: `page` carries references to large values.
-- name: page
SELECT ordinal, present, octets_upto, CAST({hash} AS text) AS input_hash, {inputs}
FROM (
    SELECT w.ordinal, s.{key} IS NOT NULL AS present, {source_inputs},
           {octets} AS octets, sum({octets}) OVER (ORDER BY w.ordinal) AS octets_upto
    FROM {work} w LEFT JOIN {rows} s ON {joined}
    WHERE {selected}) page
WHERE octets_upto - octets < %(octets)s
ORDER BY ordinal;

-- Inputs of a fixed size: how many rows the byte budget allows is known before.
-- name: page_of_numbers
COPY (
    SELECT w.ordinal, s.{key} IS NOT NULL, {hash}, {inputs}
    FROM {work} w LEFT JOIN {rows} s ON {joined}
    WHERE {selected}) TO STDOUT (FORMAT binary);

-- name: one_moment
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- name: hash
SELECT CAST({hash} AS text) FROM {work} w JOIN {rows} s ON {joined} WHERE {selected};

-- Most rows between the first and the last key of the page are in it: Postgres need not look up each by itself.
-- name: in_range
s.{key} >= (SELECT {work_key} FROM {work} WHERE ordinal > %(after)s AND NOT duplicate ORDER BY ordinal LIMIT 1)
AND s.{key} <= (SELECT {work_key} FROM {work} WHERE ordinal <= %(upto)s AND NOT duplicate ORDER BY ordinal DESC LIMIT 1)

-- name: nan
coalesce({value}, 'NaN')

-- name: selected
w.ordinal > %(after)s AND w.ordinal <= %(upto)s AND NOT w.duplicate

-- For a source in another database: the keys travel as text, the form that they have there.
-- name: keys
SELECT w.ordinal, {keys} FROM {work} w
WHERE w.ordinal > %(after)s AND w.ordinal <= %(upto)s AND NOT w.duplicate ORDER BY w.ordinal;

-- name: sent_keys
(SELECT ordinal, {keys} FROM unnest(%(ordinals)s::bigint[], {arrays}) AS sent (ordinal, {names}))
