-- Whether a page of a run is a range of the source's key, as after a first run or a new version.

ALTER TABLE prediction.run ADD COLUMN dense boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN prediction.run.dense IS 'Ordinals follow the key, and most rows of the source are in the work list.';
