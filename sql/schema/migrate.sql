-- The table of applied migrations, and the lock that makes two upgrades wait for one another.

-- name: lock
SELECT pg_advisory_xact_lock(7304126);

-- name: prepare
-- Only what is missing: where it is there, the role may have no right to make one.
DO $$ BEGIN
    IF to_regnamespace('prediction') IS NULL THEN CREATE SCHEMA prediction; END IF;
    IF to_regnamespace('prediction_work') IS NULL THEN CREATE SCHEMA prediction_work; END IF;
END $$;
CREATE TABLE IF NOT EXISTS prediction.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    content    text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: find
SELECT content = md5(%(text)s) AS same FROM prediction.migration WHERE number = %(number)s;

-- name: record
INSERT INTO prediction.migration (number, name, content) VALUES (%(number)s, %(name)s, md5(%(text)s));

-- name: exists
SELECT to_regclass('prediction.migration') IS NOT NULL;

-- name: newest
SELECT max(number) FROM prediction.migration;
