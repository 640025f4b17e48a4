-- Tables that live no longer than a run have a schema of their own: who plans may make tables there, and nowhere else.

DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = 'prediction'::regnamespace AND relkind = 'r' AND relname ~ '^(work|result|gone)_[0-9]+_[0-9]+$'
    LOOP
        EXECUTE format('ALTER TABLE %s SET SCHEMA prediction_work', found.name);
    END LOOP;
END $$;
COMMENT ON SCHEMA prediction_work IS 'Work lists and results of runs; nothing here is worth a backup.';
