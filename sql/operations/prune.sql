-- What is old, and nothing needs any more.

-- name: old_runs
-- Of each kind the last run stays, by its number and by what it was published after: whether a window may start, and when
-- a sweep is due, is judged by them; images and estimates are.
SELECT run_id, report
FROM (SELECT r.run_id, r.state, r.report, r.finished_at, row_number() OVER (kind ORDER BY r.run_id DESC) AS latest,
             row_number() OVER (kind ORDER BY r.published_after DESC NULLS LAST) AS newest
      FROM prediction.run r WHERE r.job = %(job)s
      WINDOW kind AS (PARTITION BY r.state, r.complete, r.sweep, r.model_id, r.search_hash, r.predicted > 0)) r
WHERE state IN ('published', 'failed', 'empty', 'superseded') AND latest > 1 AND newest > 1
  AND finished_at < clock_timestamp() - %(age)s
  AND NOT EXISTS (SELECT FROM prediction.quarantine q WHERE q.run_id = r.run_id AND q.state <> 'resolved')
ORDER BY run_id LIMIT %(limit)s;

-- name: remove_runs
WITH removed AS (DELETE FROM prediction.run WHERE run_id = ANY (%(ids)s) RETURNING job, state)
INSERT INTO prediction.pruned AS p (job, state, runs)
SELECT job, state, count(*) FROM removed GROUP BY job, state
ON CONFLICT (job, state) DO UPDATE SET runs = p.runs + EXCLUDED.runs;

-- name: remove_quarantine
DELETE FROM prediction.quarantine
WHERE job = %(job)s AND state = 'resolved' AND resolved_at < clock_timestamp() - %(age)s;
