-- One chunk: rows of the work list with their present input. A row that is gone has no input.

-- name: page
-- The byte budget is applied before the values are read: `page` carries references to large values.
SELECT ordinal, present, octets_upto, {fits} AS fits, CAST({hash} AS text) AS input_hash, {inputs}
FROM (
    SELECT w.ordinal, {present} AS present, {source_inputs},
           {octets} AS octets, sum({octets}) OVER (ORDER BY w.ordinal) AS octets_upto
    FROM {listed}
    WHERE {selected}) page
WHERE octets_upto - octets < %(octets)s
ORDER BY ordinal;

-- name: fits
octets < {limit}

-- name: kept_fits
-- Of a view, plan has judged.
kept_hash IS NOT NULL

-- name: input
-- A value that is too large for its text form is not asked for.
CASE WHEN octets < {limit} THEN {name} END AS {name}

-- name: page_of_numbers
-- Inputs of a fixed size: how many rows the byte budget allows is known before.
COPY (
    SELECT w.ordinal, {present}, {hash}, {inputs}
    FROM {listed}
    WHERE {selected}) TO STDOUT (FORMAT binary);

-- name: kept_hash
w.input_hash AS kept_hash,

-- name: joined
{work} w LEFT JOIN {rows} s ON {joined}

-- name: repeated
SELECT {key_text} AS key FROM {work} w WHERE w.ordinal = ANY (%(ordinals)s) AND NOT w.duplicate ORDER BY 1 LIMIT 3;

-- name: hash
SELECT CAST({hash} AS text) FROM {listed} WHERE {selected};

-- name: in_range
-- Most rows between the first and the last key of the page are in it: Postgres need not look up each by itself.
s.key1 >= (SELECT key1 FROM {work} WHERE ordinal > %(after)s AND NOT duplicate ORDER BY ordinal LIMIT 1)
AND s.key1 <= (SELECT key1 FROM {work} WHERE ordinal <= %(upto)s AND NOT duplicate ORDER BY ordinal DESC LIMIT 1)

-- name: nan
coalesce({value}, 'NaN')

-- name: selected
w.ordinal > %(after)s AND w.ordinal <= %(upto)s AND NOT w.duplicate
