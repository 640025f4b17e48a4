-- The four roles of docs/security.md. By a superuser, in the database of the schema `prediction`, as often as you like:
--     psql --file=sql/roles.sql company
-- then `python -m inference db upgrade` as prediction_owner, which makes the tables and says who may do what with them.
-- Passwords are not in here: \password prediction_owner, and so on, in psql.

DO $$
DECLARE
    name  text;
    found record;
BEGIN
    FOREACH name IN ARRAY ARRAY['prediction_owner', 'prediction_planner', 'prediction_predictor', 'prediction_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
    END LOOP;
    -- The planner reads what shards read, and ends their sessions where one was left behind: both need membership.
    GRANT prediction_predictor TO prediction_planner;
    -- For a source in another database, the planner streams its rows into a temporary table.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO prediction_planner', current_database());

    FOREACH name IN ARRAY ARRAY['prediction', 'prediction_work'] LOOP
        EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', name);
        EXECUTE format('ALTER SCHEMA %I OWNER TO prediction_owner', name);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO prediction_planner, prediction_predictor', name);
    END LOOP;
    GRANT USAGE ON SCHEMA prediction TO prediction_reader;
    -- Work lists and results of runs: the only tables that anybody but the owner makes or drops.
    GRANT CREATE ON SCHEMA prediction_work TO prediction_planner;

    -- What another role made, before there were these. Older versions had the tables of runs beside the others.
    FOR found IN
        SELECT oid::regclass AS relation FROM pg_class
        WHERE relnamespace = 'prediction'::regnamespace AND relkind = 'r' AND relname ~ '^(work|result|gone)_[0-9]+_[0-9]+$'
    LOOP
        EXECUTE format('ALTER TABLE %s SET SCHEMA prediction_work', found.relation);
    END LOOP;
    FOR found IN
        SELECT c.oid::regclass AS relation, c.relkind, n.nspname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('prediction', 'prediction_work') AND c.relkind IN ('r', 'v')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %s', found.relation,
                       CASE found.nspname WHEN 'prediction' THEN 'prediction_owner' ELSE 'prediction_planner' END);
    END LOOP;
    FOR found IN SELECT oid::regprocedure AS routine FROM pg_proc WHERE pronamespace = 'prediction'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO prediction_owner', found.routine);
    END LOOP;
END $$;
