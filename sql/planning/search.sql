-- Which rows are pending.

-- name: candidates
-- The job's rows with the hash, the cost and the time of change of each. Keys are called key1, key2, ... from here on.
SELECT {keys}, {hash} AS input_hash,
       greatest(least(coalesce(nullif(s.cost, 'NaN'), 1), 1e300), 1e-9) AS cost,
       s.changed_at{inputs}
FROM {rows} s WHERE {window}

-- name: in_parallel
-- Postgres takes a row's hash for one cheap step. It is the dearest of the search, and worth handing rows over for.
SET LOCAL parallel_tuple_cost = 0;

-- name: cost_and_time
({cost})::double precision AS cost, {changed_at} AS changed_at

-- name: kept
, s.{name}::{type} AS {name}

-- name: kept_if_short
, CASE WHEN {octets} < {limit} THEN s.{name}::{type} END AS {name}

-- name: in_window
(s.changed_at >= CAST(%(window_start)s AS timestamptz) OR s.changed_at IS NULL)

-- name: in_range
(s.key1 >= CAST(%(key_from)s AS {type}) OR %(key_from)s IS NULL)
AND (s.key1 <= CAST(%(key_to)s AS {type}) OR %(key_to)s IS NULL)

-- name: parse_range
SELECT CAST(%(key_from)s AS {type}), CAST(%(key_to)s AS {type});

-- name: create_candidates
-- Candidates of a source in another database are streamed into this table.
CREATE TEMPORARY TABLE candidate ({keys}, input_hash uuid, cost double precision, changed_at timestamptz{inputs})
ON COMMIT DROP;

-- name: compute_candidates
-- A view that more than one statement asks for is computed once, for all of them.
CREATE TEMPORARY TABLE candidate ON COMMIT DROP AS {query};
ANALYZE candidate;

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

-- name: counted
-- A view, and a table without a unique index, may give a key to several rows.
(SELECT c.*, count(*) OVER (PARTITION BY {keys}) AS copies FROM candidate c)

-- name: pending
SELECT c.* FROM {candidates} c WHERE {condition}

-- name: with_candidates
-- What a query over `candidate` begins with, where the source is in this database. A view is computed once.
WITH candidate AS {once} MATERIALIZED ({query})
