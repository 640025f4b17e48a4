-- Whether a search may leave old rows out is judged by what earlier runs searched, by which rule, and by which clock.

-- Exactly what a search reads, and nothing else: a new field of a job file's `source` makes no run a sweep. Whoever
-- changes this function raises `format` in a migration that also computes the column anew.
CREATE FUNCTION prediction.search_hash(source jsonb) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT md5(jsonb_build_object(
        'format', 1,
        'connection', coalesce(source->>'connection', 'predictions'),
        'schema', coalesce(source->>'schema', 'public'),
        'relation', source->>'relation',
        'key', source->'key',
        'inputs', source->'inputs',
        'where', source->>'where',
        'cursor', source->>'cursor',
        'changes', coalesce(source->>'changes', 'hash'))::text)::uuid
$$;

ALTER TABLE prediction.run
    ADD COLUMN search_hash uuid GENERATED ALWAYS AS (prediction.search_hash(definition->'source')) STORED,
    ADD COLUMN model_rule text GENERATED ALWAYS AS (
        CASE request->>'mode' WHEN 'rescore' THEN 'rescore'
                              ELSE coalesce(definition #>> '{model,on_new_version}', 'new_rows') END) STORED,
    ADD COLUMN clock_offset double precision,
    ADD COLUMN published_after bigint;
COMMENT ON COLUMN prediction.run.search_hash IS 'What the search read: connection, relation, columns, condition.';
COMMENT ON COLUMN prediction.run.model_rule IS 'Whether predictions of another model were left: new_rows, or rescore.';
COMMENT ON COLUMN prediction.run.clock_offset IS
    'Seconds that the clock of the source was ahead of the clock of the machine that planned.';
COMMENT ON COLUMN prediction.run.published_after IS
    'The job''s latest run when this one was published, if that was a later one: this one was late, or started over.';

-- For runs that are over, the clock of this server has to do.
UPDATE prediction.run r SET published_after = n.run_id
FROM prediction.run o
CROSS JOIN LATERAL (SELECT run_id, created_at FROM prediction.run
                    WHERE job = o.job AND run_id > o.run_id ORDER BY run_id LIMIT 1) n
WHERE r.run_id = o.run_id AND o.state = 'published' AND o.finished_at >= n.created_at;
CREATE INDEX run_published_after ON prediction.run (job, published_after) WHERE published_after IS NOT NULL;
