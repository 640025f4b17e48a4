-- The run's row, and where its search starts.

-- A window may only start from a run that left nothing over, with the same model and the same search.
-- name: last_complete
SELECT source_time FROM prediction.run
WHERE job = %(job)s AND complete AND model_id = %(model_id)s AND definition->'source' = CAST(%(source)s AS jsonb)
ORDER BY run_id DESC LIMIT 1;

-- name: last_sweep
SELECT max(source_time) FROM prediction.run WHERE job = %(job)s AND complete AND sweep;

-- name: replays
SELECT EXISTS (SELECT FROM prediction.quarantine WHERE job = %(job)s AND state = 'replay');

-- name: source_time
SELECT now();

-- The job's rows with what plan needs of each. Keys are called key1, key2, ... from here on.
-- For a source in another database: the candidates are streamed into this.
-- Without a cursor, everything that was there at the start of the last complete run is known to be done.
-- name: oldest
SELECT coalesce(
    CAST(%(oldest)s AS timestamptz),
    (SELECT max(source_time) FROM prediction.run WHERE job = %(job)s AND complete),
    (SELECT created_at FROM prediction.job WHERE name = %(job)s));

-- Postgres takes a row's hash for one cheap step. It is the dearest of the search, and worth handing rows over for.
-- name: in_parallel
SET LOCAL parallel_tuple_cost = 0;

-- name: count
SELECT count(*) AS rows, min(changed_at) AS oldest FROM ({pending}) c;

-- An ordinal stands for an input; rows with equal inputs share it, and one of them is not a duplicate.
-- Contiguous slices of the ordered work list with equal shares of the cost.
-- name: add_run
INSERT INTO prediction.run
    (job, orchestrator, external_id, state, model_id, definition, request, source_time, image, image_id)
VALUES (%(job)s, %(orchestrator)s, %(external_id)s, 'empty', %(model_id)s, %(definition)s, %(request)s,
        %(source_time)s, %(image)s, %(image_id)s)
RETURNING run_id, generation;

-- name: restart_run
UPDATE prediction.run
SET state = 'empty', message = '', generation = generation + 1, model_id = %(model_id)s,
    definition = %(definition)s, request = %(request)s, source_time = %(source_time)s, complete = false,
    image = %(image)s, image_id = %(image_id)s,
    predicted = 0, reused = 0, quarantined = 0, vanished = 0, deferred = 0, changed_at_read = 0, deleted = 0,
    timings = '{{}}', report = NULL, created_at = now(), finished_at = NULL, approved = false
WHERE run_id = %(run_id)s
RETURNING run_id, generation;

-- name: record
UPDATE prediction.run
SET state = %(state)s, message = %(message)s, pending = %(pending)s, planned = %(planned)s, sweep = %(sweep)s,
    searched = %(searched)s,
    window_start = %(window_start)s, complete = %(complete)s, oldest_pending = %(oldest)s, heartbeat = clock_timestamp(),
    timings = jsonb_build_object('plan', %(seconds)s),
    dense = %(by_key)s AND coalesce((
        SELECT c.reltuples BETWEEN 1 AND 2 * %(planned)s FROM pg_class c
        WHERE c.oid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(relation)s))), false),
    finished_at = CASE WHEN %(state)s = 'planned' THEN NULL ELSE clock_timestamp() END
WHERE run_id = %(run_id)s;
