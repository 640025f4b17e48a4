-- Which rows a model's process died on: a segfault, an exit, or a call that took too long.

ALTER TABLE prediction.shard
    ADD COLUMN deaths integer NOT NULL DEFAULT 0,
    ADD COLUMN trying int8range,
    ADD COLUMN apart int8range,
    ADD COLUMN culprits jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN prediction.shard.deaths IS 'Processes of this shard that the model ended.';
COMMENT ON COLUMN prediction.shard.trying IS 'Ordinals that the model is called with, noted before each call once a process died.';
COMMENT ON COLUMN prediction.shard.apart IS 'Ordinals of a call that a process died in: they are scored one by one.';
COMMENT ON COLUMN prediction.shard.culprits IS 'Ordinals that a process died on alone, and how: they go into quarantine.';
