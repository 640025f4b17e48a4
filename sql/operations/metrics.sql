-- What `metrics` serves. A column is a gauge of that name for each job; NULL is no sample.

-- name: jobs
SELECT s.job,
       s.pending AS pending_rows,
       extract(epoch FROM now() - coalesce(s.oldest_pending, s.fresh_to)) AS oldest_pending_age_seconds,
       s.quarantined AS quarantined_rows,
       extract(epoch FROM s.published_at) AS last_published_timestamp_seconds,
       r.predicted / nullif((r.timings->>'predict')::numeric, 0) AS last_published_rows_per_second,
       r.timings
FROM prediction.job_status s LEFT JOIN prediction.run_summary r ON r.run_id = s.published_run
ORDER BY s.job;

-- name: runs
SELECT job, state, runs FROM prediction.run_totals;
