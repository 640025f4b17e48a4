-- A run's row, and what became of each of its rows.

-- name: run
SELECT r.run_id, r.job, r.state, r.generation, r.pending, r.planned, r.definition, r.request, r.message, r.approved, r.report, m.outputs,
       m.name || ' version ' || m.version AS model
FROM prediction.run r JOIN prediction.model m USING (model_id) WHERE r.run_id = %(run_id)s;

-- name: lock_run
SELECT state FROM prediction.run WHERE run_id = %(run_id)s FOR UPDATE;

-- name: fate
-- A duplicate stands and falls with the row that was read for it, as long as that row's input was the planned one. Of a
-- row whose input could not even be hashed nothing is known.
CASE WHEN r.ordinal IS NULL THEN 'missing'
     WHEN NOT w.duplicate THEN r.outcome
     WHEN r.outcome = 'vanished' OR r.input_hash IS DISTINCT FROM w.input_hash THEN 'deferred'
     WHEN r.outcome = 'predicted' THEN 'reused'
     ELSE r.outcome END

-- name: fail
UPDATE prediction.run SET state = 'failed', message = %(message)s, finished_at = clock_timestamp()
WHERE run_id = %(run_id)s AND state IN ('planned', 'predicting', 'checked', 'held');
