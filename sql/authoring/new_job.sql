-- What the catalog says of a relation that a job is to be made for.

-- name: relation
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, has_schema_privilege(n.oid, 'USAGE') AS usage, current_user::text AS role
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(relation)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f');

-- name: relations
SELECT n.nspname::text AS schema, c.relname::text AS relation
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$|prediction)'
ORDER BY 1, 2 LIMIT 20000;

-- name: unreadable
SELECT attname::text FROM pg_attribute
WHERE attrelid = CAST(%(oid)s AS oid) AND attnum > 0 AND NOT attisdropped
  AND NOT has_column_privilege(attrelid, attnum, 'SELECT')
ORDER BY attnum;

-- name: unique_indexes
-- A materialized view's columns are never declared NOT NULL.
SELECT c.relname::text AS name, i.indisprimary AS is_primary, k.columns, k.never_null
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY p.number) AS columns, bool_and(a.attnotnull) AS never_null
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS p (attnum, number)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.attnum
    WHERE p.number <= i.indnkeyatts) k
WHERE i.indrelid = CAST(%(oid)s AS oid) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indisprimary DESC, cardinality(k.columns), c.relname;

-- name: triggers
-- Of rows, before they are written. Bits of tgtype: 1 row, 2 before, 4 insert, 16 update.
SELECT t.tgname::text AS name, t.tgtype & 4 > 0 AS inserts, t.tgtype & 16 > 0 AS updates,
       t.tgqual IS NOT NULL OR t.tgattr::text <> '' OR t.tgenabled NOT IN ('O', 'A') AS sometimes,
       p.proname::text AS function, l.lanname::text AS language, p.prosrc AS body,
       split_part(encode(t.tgargs, 'escape'), '\000', 1) AS argument
FROM pg_trigger t
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_language l ON l.oid = p.prolang
WHERE t.tgrelid = CAST(%(oid)s AS oid) AND NOT t.tgisinternal AND t.tgtype & 3 = 3
ORDER BY t.tgname;

-- name: defaults
SELECT a.attname::text AS name, pg_get_expr(d.adbin, d.adrelid) AS value
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE d.adrelid = CAST(%(oid)s AS oid) AND a.attgenerated = '';

-- name: definition
SELECT pg_get_viewdef(CAST(%(oid)s AS oid));

-- name: give_many
SELECT EXISTS (SELECT FROM pg_proc WHERE proretset AND proname = ANY (CAST(%(names)s AS text[])));

-- name: try_cast
SELECT CAST({column} AS {type}) FROM {source} LIMIT 0;

-- name: wait_for_answers
-- A person who is asked may think for longer than a session of ours may stand idle. Nothing but the catalog is locked.
SET LOCAL idle_in_transaction_session_timeout = 0;

-- name: view
-- For people to run:
CREATE VIEW {view} AS
SELECT {columns}
FROM {source};

-- name: add_key
ALTER TABLE {source} ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY

-- name: look
SELECT * FROM {view} LIMIT 10
