-- Models have parameters; and what a job sets for its model is a part of what a search looks for.

ALTER TABLE prediction.model ADD COLUMN params jsonb;
COMMENT ON COLUMN prediction.model.params IS
    'The parameters of the signature: [{"name": .., "type": .., "shape": ..}]. NULL: met by code that did not read them.';

-- `answers`: those settings of the job's model that change its answers. Where there are none the hash is what it was, so
-- the values that are stored need not be computed anew.
CREATE OR REPLACE FUNCTION prediction.search_hash(source jsonb) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT md5((jsonb_build_object(
        'format', 1,
        'connection', coalesce(source->>'connection', 'predictions'),
        'schema', coalesce(source->>'schema', 'public'),
        'relation', source->>'relation',
        'key', source->'key',
        'inputs', source->'inputs',
        'where', source->>'where',
        'cursor', source->>'cursor',
        'changes', coalesce(source->>'changes', 'hash'))
        || CASE WHEN source ? 'answers' THEN jsonb_build_object('answers', source->'answers') ELSE '{}' END)::text)::uuid
$$;
