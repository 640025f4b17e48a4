-- The keys of a page's rows, which are sent to a source in another database.

-- name: keys
-- For a source in another database: the keys travel as text, the form that they have there.
SELECT w.ordinal, {keys} FROM {work} w
WHERE w.ordinal > %(after)s AND w.ordinal <= %(upto)s AND NOT w.duplicate ORDER BY w.ordinal;

-- name: relation
(SELECT ordinal, {keys} FROM unnest(%(ordinals)s::bigint[], {arrays}) AS sent (ordinal, {names}))
