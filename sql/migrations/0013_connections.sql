COMMENT ON COLUMN prediction.shard.backends IS
    'Open sessions of the latest attempt: [{"pid": .., "started": .., "name": application_name}]. Those that are over forget themselves.';
