-- The tables of the jobs had a foreign key to `prediction.model`: publish looked the same row up again for each row.

DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT c.conrelid::regclass AS target, c.conname
        FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
        WHERE c.contype = 'f' AND c.confrelid = 'prediction.model'::regclass AND t.relname LIKE '%\_\_blue'
          AND t.relnamespace = 'prediction'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.target, found.conname);
    END LOOP;
END $$;
