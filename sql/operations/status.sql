-- What `status` and `jobs` show.

-- name: jobs
SELECT *, extract(epoch FROM now() - fresh_to)::double precision AS age FROM prediction.job_status
WHERE job = %(job)s OR %(job)s IS NULL ORDER BY job;

-- name: runs
SELECT run_id, job, state, model_version, planned, predicted, reused, quarantined, created_at, message
FROM prediction.run_summary WHERE job = %(job)s OR %(job)s IS NULL ORDER BY run_id DESC LIMIT %(limit)s;

-- name: run_of
SELECT run_id, state, message, pending, planned, predicted, reused, quarantined, vanished, deferred, deleted
FROM prediction.run
WHERE job = %(job)s AND orchestrator = %(orchestrator)s AND external_id = %(external_id)s;

-- name: known
SELECT name FROM prediction.job ORDER BY name;

-- name: drop_current
DROP VIEW IF EXISTS {current};
DROP FUNCTION IF EXISTS {current}();

-- name: drop_job
DROP VIEW IF EXISTS {view};
DROP TABLE IF EXISTS {target}, {history};

-- name: forget
DELETE FROM prediction.quarantine WHERE job = %(job)s;
DELETE FROM prediction.run WHERE job = %(job)s;
DELETE FROM prediction.job WHERE name = %(job)s;

-- name: progress
SELECT coalesce(sum(cursor - first_ordinal + 1), 0) AS done, coalesce(sum(last_ordinal - first_ordinal + 1), 0) AS total
FROM prediction.shard WHERE run_id = %(run_id)s AND generation = %(generation)s;
