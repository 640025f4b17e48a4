-- The run's row, and where its search starts.

-- name: last_complete
-- A window may only start from the last run that left nothing over, if it searched and scored as this run would, and if
-- no run that was published later (by its number, or started over) did otherwise: it may have overwritten predictions.
SELECT r.source_time, r.clock_offset,
       r.search_hash = prediction.search_hash(CAST(%(source)s AS jsonb)) AND r.model_id = %(model_id)s
       AND r.model_rule = %(rule)s
       AND NOT EXISTS (
           SELECT FROM prediction.run o
           WHERE o.job = r.job AND o.state = 'published' AND o.run_id > r.run_id
             AND (o.model_id <> r.model_id OR o.search_hash <> r.search_hash))
       AND NOT EXISTS (
           SELECT FROM prediction.run o
           WHERE o.job = r.job AND o.published_after >= r.run_id AND o.run_id <> r.run_id
             AND (o.model_id <> r.model_id OR o.search_hash <> r.search_hash)) AS same
FROM prediction.run r WHERE r.job = %(job)s AND r.complete ORDER BY r.run_id DESC LIMIT 1;

-- name: last_sweep
-- A sweep whose time has not come yet was judged by a clock that was wrong.
SELECT source_time FROM prediction.run
WHERE job = %(job)s AND complete AND sweep AND source_time <= %(now)s ORDER BY run_id DESC LIMIT 1;

-- name: replays
SELECT EXISTS (SELECT FROM prediction.quarantine WHERE job = %(job)s AND state = 'replay');

-- name: source_time
SELECT now();

-- name: oldest
-- Without a cursor, everything that was there at the start of the last complete run is known to be done.
SELECT coalesce(
    CAST(%(oldest)s AS timestamptz),
    (SELECT least(source_time, created_at) FROM prediction.run
     WHERE job = %(job)s AND complete ORDER BY run_id DESC LIMIT 1),
    (SELECT created_at FROM prediction.job WHERE name = %(job)s));

-- name: add_run
INSERT INTO prediction.run
    (job, orchestrator, external_id, state, model_id, definition, request, source_time, clock_offset, image,
     image_id)
VALUES (%(job)s, %(orchestrator)s, %(external_id)s, 'empty', %(model_id)s, %(definition)s, %(request)s,
        %(source_time)s, %(clock_offset)s, %(image)s, %(image_id)s)
RETURNING run_id, generation;

-- name: restart_run
UPDATE prediction.run
SET state = 'empty', message = '', generation = generation + 1, model_id = %(model_id)s,
    definition = %(definition)s, request = %(request)s, source_time = %(source_time)s, clock_offset = %(clock_offset)s,
    complete = false, image = %(image)s, image_id = %(image_id)s,
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
