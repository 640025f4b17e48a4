-- What the end of a model's process says of its rows.

-- name: died
-- What the process was called with, if it had noted that, says which rows are to be tried apart, or which one never again.
UPDATE prediction.shard s
SET deaths = s.deaths + 1, trying = NULL,
    apart = CASE WHEN before.rows > 1 THEN s.trying ELSE s.apart END,
    culprits = CASE WHEN before.rows = 1 THEN s.culprits || jsonb_build_object(before.first, CAST(%(how)s AS text))
                    ELSE s.culprits END
FROM (SELECT upper(trying) - lower(trying) AS rows, lower(trying) AS first
      FROM prediction.shard
      WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s) before
WHERE s.run_id = %(run_id)s AND s.generation = %(generation)s AND s.shard = %(shard)s
RETURNING s.deaths, before.rows, before.first, (SELECT count(*) FROM jsonb_object_keys(s.culprits)) AS culprits;

-- name: complete
SELECT cursor = last_ordinal FROM prediction.shard
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s;
