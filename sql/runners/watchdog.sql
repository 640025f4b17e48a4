-- Signs of life of what starts, and an end of what stands still.

-- name: attempt
-- Without a lock: a predecessor that was stopped in the middle of a transaction keeps the row until the next attempt
-- ends its session.
SELECT attempt FROM prediction.shard
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s;

-- name: starting
-- The shard's process begins with a number of its own. A process that was stopped may hold the row: the next attempt,
-- and nobody else, ends its session, so that is not waited for.
UPDATE prediction.shard s SET heartbeat = clock_timestamp()
FROM (SELECT run_id, generation, shard FROM prediction.shard
      WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s AND attempt = %(attempt)s
      FOR NO KEY UPDATE SKIP LOCKED) free
WHERE (s.run_id, s.generation, s.shard) = (free.run_id, free.generation, free.shard);

-- name: end_old
SELECT count(pg_terminate_backend(a.pid))
FROM prediction.shard s
CROSS JOIN LATERAL jsonb_to_recordset(s.backends) AS b (pid integer, started timestamptz, name text)
JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.started AND a.application_name = b.name
WHERE s.run_id = %(run_id)s AND s.generation = %(generation)s AND s.shard = %(shard)s
  AND a.xact_start < clock_timestamp() - CAST(%(page_timeout)s AS interval);
