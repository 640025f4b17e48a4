-- The one transaction that makes a run's predictions visible.

-- name: keep_history
INSERT INTO {history} ({columns}, superseded_at)
SELECT {old_columns}, now()
FROM {target} p JOIN {work} w ON {joined} LEFT JOIN {result} r ON r.ordinal = w.ordinal
WHERE w.ordinal > 0 AND {fate} IN ('predicted', 'reused');

-- name: keep_deleted
INSERT INTO {history} ({columns}, superseded_at)
SELECT {old_columns}, now() FROM {target} p JOIN {gone} w ON {joined};

-- name: has_predictions
SELECT EXISTS (SELECT FROM {target});

-- name: merge
INSERT INTO {target} AS p ({key}, input_hash, model_id, run_id, predicted_at, {outputs})
SELECT {work_key}, r.input_hash, %(model_id)s, %(run_id)s, now(), {result_outputs}
FROM {work} w LEFT JOIN {result} r ON r.ordinal = w.ordinal
WHERE w.ordinal > 0 AND {fate} IN ('predicted', 'reused')
{conflict};

-- name: conflict
-- A newer run's rows stay, however late an older one publishes; one that was planned again is newer than its number.
ON CONFLICT ({key}) DO UPDATE
SET (input_hash, model_id, run_id, predicted_at, {outputs})
    = ROW (EXCLUDED.input_hash, EXCLUDED.model_id, EXCLUDED.run_id, EXCLUDED.predicted_at, {new_outputs})
WHERE p.run_id <= EXCLUDED.run_id OR %(generation)s > 1;

-- name: quarantine
INSERT INTO prediction.quarantine AS q (job, key, input_hash, model_id, run_id, error, message)
SELECT %(job)s, {key_text}, r.input_hash, %(model_id)s, %(run_id)s, r.error, r.message
FROM {work} w LEFT JOIN {result} r ON r.ordinal = w.ordinal
WHERE EXISTS (SELECT FROM {result} WHERE outcome = 'quarantined') AND w.ordinal > 0 AND {fate} = 'quarantined'
ON CONFLICT (job, prediction.key_hash(key)) WHERE state <> 'resolved' DO UPDATE
SET input_hash = EXCLUDED.input_hash, model_id = EXCLUDED.model_id, run_id = EXCLUDED.run_id,
    error = EXCLUDED.error, message = EXCLUDED.message, state = 'open', created_at = now();

-- name: resolve
UPDATE prediction.quarantine q SET state = 'resolved', resolved_at = now()
FROM {work} w LEFT JOIN {result} r ON r.ordinal = w.ordinal
WHERE w.ordinal > 0 AND {fate} IN ('predicted', 'reused')
  AND q.job = %(job)s AND q.state <> 'resolved' AND q.key = {key_text};

-- name: delete
DELETE FROM {target} p USING {gone} w WHERE {joined} AND (p.run_id <= %(run_id)s OR %(generation)s > 1);

-- name: model
SELECT model_id FROM prediction.run WHERE run_id = %(run_id)s;

-- name: record
-- A run that was told to leave rows over, or had to, may not be the start of a window.
UPDATE prediction.run r
SET state = 'published', deleted = %(deleted)s, heartbeat = clock_timestamp(), finished_at = clock_timestamp(),
    complete = request->>'mode' IN ('pending', 'rescore') AND deferred = 0
               AND (request->>'row_limit' IS NULL OR planned < (request->>'row_limit')::bigint),
    timings = timings || jsonb_build_object('publish', %(seconds)s),
    published_after = (SELECT max(n.run_id) FROM prediction.run n WHERE n.job = r.job AND n.run_id > r.run_id)
WHERE run_id = %(run_id)s;

-- name: approve
UPDATE prediction.run SET approved = true WHERE run_id = %(run_id)s;
