-- Rows that a model could not score.

-- name: list
SELECT job, key, error, message, model_name, model_version, run_id, state, created_at
FROM prediction.quarantine_open
WHERE job = %(job)s OR %(job)s IS NULL
ORDER BY created_at DESC, quarantine_id DESC LIMIT %(limit)s;

-- name: staged
-- Of a run whose results are there: they become entries at publish only.
SELECT {key_text} AS key, r.error, r.message FROM {work} w JOIN {result} r USING (ordinal)
WHERE r.outcome = 'quarantined' ORDER BY ordinal LIMIT %(limit)s;

-- name: replay
UPDATE prediction.quarantine SET state = 'replay'
WHERE job = %(job)s AND state = 'open' AND (%(keys)s::text[] IS NULL OR key[1] = ANY (%(keys)s::text[]));

-- name: drop
DELETE FROM prediction.quarantine
WHERE job = %(job)s AND state <> 'resolved' AND (%(keys)s::text[] IS NULL OR key[1] = ANY (%(keys)s::text[]));
