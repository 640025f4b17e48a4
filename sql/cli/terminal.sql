-- How far a run is.

-- name: progress
SELECT coalesce(sum(cursor - first_ordinal + 1), 0) AS done, coalesce(sum(last_ordinal - first_ordinal + 1), 0) AS total
FROM prediction.shard WHERE run_id = %(run_id)s AND generation = %(generation)s;
