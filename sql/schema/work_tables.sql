-- The tables of one run, which live no longer than it does.

-- name: create_result
CREATE UNLOGGED TABLE {result} (
    ordinal    bigint NOT NULL,
    outcome    text NOT NULL,
    input_hash uuid,
    error      text,
    message    text,
    {outputs}
);

-- name: mark_result
-- The sentinel: a crash of Postgres empties unlogged tables, and this row with them.
INSERT INTO {result} (ordinal, outcome) VALUES (0, 'sentinel');

-- name: drop
DROP TABLE IF EXISTS {table};

-- name: leftovers
SELECT c.relname::text FROM pg_class c
JOIN prediction.run r ON r.job = %(job)s
  AND c.relname ~ ('^(work|result|gone)_' || r.run_id || '_[0-9]+$')
WHERE c.relnamespace = 'prediction_work'::regnamespace AND c.relkind = 'r'
  AND (%(also_open)s OR r.state NOT IN ('planned', 'predicting', 'checked', 'held'));

-- name: exists
SELECT to_regclass(%(name)s) IS NOT NULL;
