-- One active run per job; sessions of attempts that have been taken over.

-- name: add_job
INSERT INTO prediction.job (name) VALUES (%(job)s) ON CONFLICT DO NOTHING;

-- name: lock_job
SELECT name FROM prediction.job WHERE name = %(job)s FOR UPDATE;

-- name: own_run
SELECT run_id, state, generation, planned, approved FROM prediction.run
WHERE job = %(job)s AND orchestrator = %(orchestrator)s AND external_id = %(external_id)s;

-- name: open_run
SELECT r.run_id, r.state, r.orchestrator, r.message, r.planned, r.approved,
       extract(epoch FROM clock_timestamp() - greatest(r.heartbeat, s.heartbeat))::double precision AS silent
FROM prediction.run r
LEFT JOIN LATERAL (
    SELECT max(heartbeat) AS heartbeat FROM prediction.shard
    WHERE run_id = r.run_id AND generation = r.generation) s ON true
WHERE r.job = %(job)s AND r.state IN ('planned', 'predicting', 'checked', 'held');

-- name: lock_open
-- Of the open run, if nobody else holds it: check and publish keep its row for as long as they take.
SELECT run_id FROM prediction.run
WHERE job = %(job)s AND state IN ('planned', 'predicting', 'checked', 'held') FOR NO KEY UPDATE SKIP LOCKED;

-- name: clock_set_back
-- After the server's clock was set back, old signs of life lie in the future: then the silence begins now. Rows that
-- somebody holds are not waited for: they are at work, or stopped, and whoever takes over ends their sessions later.
UPDATE prediction.run SET heartbeat = clock_timestamp()
WHERE run_id IN (
    SELECT run_id FROM prediction.run
    WHERE job = %(job)s AND state IN ('planned', 'predicting', 'checked', 'held') AND heartbeat > clock_timestamp()
    FOR NO KEY UPDATE SKIP LOCKED);
UPDATE prediction.shard SET heartbeat = clock_timestamp()
WHERE (run_id, generation, shard) IN (
    SELECT s.run_id, s.generation, s.shard FROM prediction.shard s JOIN prediction.run r USING (run_id)
    WHERE r.job = %(job)s AND r.state IN ('planned', 'predicting', 'checked', 'held') AND s.heartbeat > clock_timestamp()
    FOR NO KEY UPDATE OF s SKIP LOCKED);

-- name: supersede
UPDATE prediction.run SET state = 'superseded', finished_at = clock_timestamp(), message = %(message)s
WHERE run_id = %(run_id)s;

-- name: terminate
-- A stopped client inside COPY keeps its locks for ever; only ending its session frees them. A process
-- may serve somebody else by now, under another name; of one that was noted without a name nobody knows.
SELECT count(pg_terminate_backend(a.pid))
FROM prediction.run r
JOIN prediction.shard s USING (run_id)
CROSS JOIN LATERAL jsonb_to_recordset(s.backends) AS b (pid integer, started timestamptz, name text)
JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.started AND a.application_name = b.name
WHERE r.job = %(job)s AND (s.generation < r.generation OR r.state NOT IN ('planned', 'predicting'))
  AND a.pid <> pg_backend_pid();
