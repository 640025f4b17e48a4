-- The size of a batch that a model was fastest with is found while it scores, and known to the next run.

ALTER TABLE prediction.shard RENAME COLUMN batch_rows TO batch_size;
ALTER TABLE prediction.shard ADD COLUMN host_class text;
COMMENT ON COLUMN prediction.shard.batch_size IS
    'What a call of the model gets: rows as the job says, or with host_class what was found: the sum of their costs.';
COMMENT ON COLUMN prediction.shard.host_class IS 'The kind of machine that the size of a batch was found on.';
CREATE INDEX shard_batch_size ON prediction.shard (model_id, host_class, run_id DESC) WHERE host_class IS NOT NULL;
