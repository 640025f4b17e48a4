-- What a source's server says of the job's `where` and `cost`.

-- name: functions
-- A name without a schema means any function of the search path.
SELECT p.proname::text AS name, p.provolatile AS volatility, n.nspname = 'pg_catalog' AS builtin
FROM unnest(CAST(%(schemas)s AS text[]), CAST(%(names)s AS text[])) AS called (schema, name)
JOIN pg_proc p ON p.proname = called.name
JOIN pg_namespace n ON n.oid = p.pronamespace
 AND (n.nspname = called.schema OR called.schema IS NULL AND n.nspname = ANY (current_schemas(true)));

-- name: parse_where
EXPLAIN SELECT FROM {source} WHERE ({expression});

-- name: parse_cost
-- In a condition, since a list of columns would also take an aggregate or a set.
EXPLAIN SELECT FROM {source} WHERE ({expression})::double precision > 0;
