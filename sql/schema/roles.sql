-- Who may do what, where the owner of the schema is the role of sql/roles.sql; elsewhere one role does everything.

-- name: granted
SELECT pg_get_userbyid(nspowner) = 'prediction_owner' FROM pg_namespace WHERE nspname = 'prediction';

-- name: tables
GRANT SELECT ON prediction.migration TO prediction_planner, prediction_reader;
GRANT SELECT, INSERT, UPDATE ON prediction.job, prediction.model, prediction.shard, prediction.pruned
    TO prediction_planner;
GRANT SELECT, INSERT, UPDATE, DELETE ON prediction.run, prediction.quarantine TO prediction_planner;
GRANT SELECT ON prediction.job_status, prediction.run_summary, prediction.run_totals, prediction.quarantine_open
    TO prediction_planner, prediction_reader;
GRANT SELECT (model_id, digest, inputs, outputs, params) ON prediction.model TO prediction_predictor;
GRANT SELECT (run_id, job, state, generation, model_id, definition, dense, inputs_kept), UPDATE (state, finished_at)
    ON prediction.run TO prediction_predictor;
GRANT SELECT, UPDATE
    (attempt, backends, host, heartbeat, batch_size, host_class, trying, cursor, calls, seconds, held_memory, peak_memory)
    ON prediction.shard TO prediction_predictor;

-- name: policies
-- A shard may say that its run is being predicted, and nothing else of any run.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'prediction.run'::regclass) THEN
        CREATE POLICY planner ON prediction.run TO prediction_planner USING (true);
        CREATE POLICY look ON prediction.run FOR SELECT TO prediction_predictor USING (true);
        CREATE POLICY begin ON prediction.run FOR UPDATE TO prediction_predictor
            USING (state IN ('planned', 'predicting', 'failed')) WITH CHECK (state = 'predicting');
        ALTER TABLE prediction.run ENABLE ROW LEVEL SECURITY;
    END IF;
END $$;

-- name: jobs
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT c.relname, c.relkind FROM prediction.job j JOIN pg_class c
            ON c.relname IN (j.name, j.name || '__current', j.name || '__blue', j.name || '__history')
        WHERE c.relnamespace = 'prediction'::regnamespace
    LOOP
        IF found.relkind = 'v' THEN
            EXECUTE format('GRANT SELECT ON prediction.%%I TO prediction_planner, prediction_reader', found.relname);
        ELSE
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON prediction.%%I TO prediction_planner', found.relname);
        END IF;
    END LOOP;
END $$;

-- name: work
GRANT SELECT ON {work} TO prediction_predictor;

-- name: result
GRANT INSERT ON {result} TO prediction_predictor;
