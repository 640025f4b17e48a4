-- What the runner `docker` keeps: the image of a run, and what a shard's memory limit allows.

ALTER TABLE prediction.run ADD COLUMN image text, ADD COLUMN image_id text;
COMMENT ON COLUMN prediction.run.image_id IS 'The id of the image that every container of the run starts from.';

ALTER TABLE prediction.shard ADD COLUMN batch_rows integer, ADD COLUMN memory_kills integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN prediction.shard.batch_rows IS 'Rows of a call, noted before the first call of that size.';
COMMENT ON COLUMN prediction.shard.memory_kills IS 'Containers of this shard that ended at their memory limit.';

CREATE OR REPLACE VIEW prediction.run_summary AS
SELECT r.run_id, r.job, r.state, r.message, m.name AS model_name, m.version AS model_version, r.sweep,
       r.planned, r.predicted, r.reused, r.quarantined, r.vanished, r.deferred, r.changed_at_read, r.deleted,
       r.created_at, r.finished_at, r.finished_at - r.created_at AS duration, r.timings,
       r.orchestrator, r.external_id, r.request->>'mode' AS mode, r.image, r.image_id
FROM prediction.run r JOIN prediction.model m USING (model_id);
