-- A view is read once a run: its inputs are kept with the work list.

ALTER TABLE prediction.run ADD COLUMN inputs_kept boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN prediction.run.inputs_kept IS 'The work list holds the inputs, and shards read no source.';
