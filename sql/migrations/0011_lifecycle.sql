-- What is pending now, whatever the last run was; and keys of quarantine that are too long for an index.

ALTER TABLE prediction.run ADD COLUMN searched boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN prediction.run.searched IS 'Plan looked at the source; false where another run was at work.';
-- Until now, a search took time, and a plan that did not search was recorded with none.
UPDATE prediction.run SET searched = false WHERE state = 'empty' AND (timings->>'plan')::double precision = 0;

-- The text of an array is the same for ever, which Postgres cannot know of all types.
CREATE FUNCTION prediction.key_hash(key text[]) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT md5(key::text)::uuid $$;
DROP INDEX prediction.quarantine_key;
CREATE UNIQUE INDEX quarantine_key ON prediction.quarantine (job, prediction.key_hash(key)) WHERE state <> 'resolved';

CREATE OR REPLACE VIEW prediction.job_status AS
SELECT j.name AS job,
       last.run_id AS last_run, last.state AS last_state, last.message AS last_message,
       last.created_at AS last_run_at,
       CASE found.state WHEN 'published' THEN found.pending - found.planned + found.deferred
                        ELSE found.pending END AS pending,
       CASE WHEN found.state <> 'published' THEN found.oldest_pending END AS oldest_pending,
       least(coalesce(complete.source_time, j.created_at), now()) AS fresh_to,
       published.run_id AS published_run, published.finished_at AS published_at,
       published.model_name, published.model_version,
       (SELECT count(*) FROM prediction.quarantine q
        WHERE q.job = j.name AND q.state <> 'resolved') AS quarantined
FROM prediction.job j
LEFT JOIN LATERAL (
    SELECT r.* FROM prediction.run r
    WHERE r.job = j.name AND r.state <> 'superseded' ORDER BY r.run_id DESC LIMIT 1) last ON true
-- The last search. A dry run that asks what another mode or version would find says nothing of what is pending.
LEFT JOIN LATERAL (
    SELECT r.* FROM prediction.run r
    WHERE r.job = j.name AND r.state <> 'superseded' AND r.searched
      AND (NOT coalesce((r.request->>'dry_run')::boolean, false)
           OR r.request->>'mode' = 'pending' AND r.request->>'model' IS NULL)
    ORDER BY r.run_id DESC LIMIT 1) found ON true
LEFT JOIN LATERAL (
    SELECT r.* FROM prediction.run_summary r
    WHERE r.job = j.name AND r.state = 'published' ORDER BY r.run_id DESC LIMIT 1) published ON true
LEFT JOIN LATERAL (
    SELECT r.source_time FROM prediction.run r
    WHERE r.job = j.name AND r.complete ORDER BY r.run_id DESC LIMIT 1) complete ON true;
COMMENT ON COLUMN prediction.job_status.pending IS 'Rows that the last search found and that are not done.';
