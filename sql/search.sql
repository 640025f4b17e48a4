-- Which rows are pending.

-- name: candidates
SELECT {keys}, {hash} AS input_hash,
       greatest(least(coalesce(nullif(({cost})::double precision, 'NaN'), 1), 1e300), 1e-9) AS cost,
       {changed_at} AS changed_at
FROM {rows} s WHERE {window}

-- name: in_window
(s.{cursor} >= CAST(%(window_start)s AS timestamptz) OR s.{cursor} IS NULL)

-- name: in_range
(s.{key} >= CAST(%(key_from)s AS {type}) OR %(key_from)s IS NULL)
AND (s.{key} <= CAST(%(key_to)s AS {type}) OR %(key_to)s IS NULL)

-- name: parse_range
SELECT CAST(%(key_from)s AS {type}), CAST(%(key_to)s AS {type});

-- name: create_candidates
CREATE TEMPORARY TABLE candidate ({keys}, input_hash uuid, cost double precision, changed_at timestamptz)
ON COMMIT DROP;

-- name: analyze_candidates
ANALYZE candidate;

-- name: copy_out
COPY ({query}) TO STDOUT;

-- name: copy_in
COPY candidate FROM STDIN;

-- name: not_predicted
NOT EXISTS (SELECT FROM {target} p WHERE {joined} AND {current})

-- name: not_quarantined
NOT EXISTS (
    SELECT FROM prediction.quarantine q
    WHERE q.job = %(job)s AND q.state = 'open' AND q.model_id = %(model_id)s AND q.key = {key_text}
      AND q.input_hash IS NOT DISTINCT FROM c.input_hash)

-- name: to_replay
EXISTS (
    SELECT FROM prediction.quarantine q WHERE q.job = %(job)s AND q.state = 'replay' AND q.key = {key_text})

-- name: pending
SELECT c.* FROM {candidates} c WHERE {condition}

