-- Containers and the runs that they belong to.

-- name: open_runs
SELECT run_id, generation FROM prediction.run WHERE job = %(job)s AND state IN ('planned', 'predicting');

-- name: memory_kill
UPDATE prediction.shard s
SET memory_kills = s.memory_kills + 1, batch_size = greatest(s.batch_size / 2, least(s.batch_size, 1))
FROM (SELECT batch_size AS tried FROM prediction.shard
      WHERE run_id = %(run)s AND generation = %(generation)s AND shard = %(shard)s) before
WHERE s.run_id = %(run)s AND s.generation = %(generation)s AND s.shard = %(shard)s
RETURNING s.memory_kills, s.batch_size, before.tried;
