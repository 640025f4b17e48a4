-- What the job's `source` section becomes in SQL.

-- name: columns
-- The types come without length limits: a longer value must not be cut, and `character` would mean one.
SELECT a.attname::text AS name,
       format_type(a.atttypid, -1) AS type,
       CASE WHEN b.typtype = 'e' THEN 'enum' WHEN b.typname = 'citext' THEN 'text' ELSE b.typname::text END AS kind,
       CASE WHEN b.typtype = 'e' OR b.typname = 'citext' THEN 'text' ELSE format_type(b.oid, -1) END AS base,
       CASE WHEN a.attcollation NOT IN (0, 100) THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END AS collation,
       a.attnotnull AS required
FROM pg_attribute a
-- A domain may be over another one; `base` is the type below all of them.
CROSS JOIN LATERAL (
    WITH RECURSIVE below AS (
        SELECT t.* FROM pg_type t WHERE t.oid = a.atttypid
        UNION ALL SELECT t.* FROM below d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')
    SELECT oid, typtype, typname FROM below WHERE typtype <> 'd') b
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
WHERE a.attrelid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(relation)s))
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: unique_key
SELECT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(relation)s))
      -- An index covers no rows of tables that inherit; of a partitioned table it does.
      AND (SELECT relkind = 'p' FROM pg_class WHERE oid = i.indrelid) >= EXISTS (
          SELECT FROM pg_inherits WHERE inhparent = i.indrelid)
      AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (SELECT bool_and(a.attnotnull AND a.attname = ANY (CAST(%(keys)s AS text[])))
           FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
      -- Since PostgreSQL 18 a NOT NULL may be one that nobody has checked: NULLs may be there.
      AND NOT EXISTS (
          SELECT FROM pg_constraint n
          WHERE n.conrelid = i.indrelid AND n.contype = 'n' AND NOT n.convalidated AND n.conkey && i.indkey::int2[])
      -- An index may take values for different that the type's own `=` takes for equal, such as text_ops on citext.
      AND NOT EXISTS (
          SELECT FROM unnest(i.indkey::int2[], i.indclass::oid[]) AS part (attnum, opclass)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
          JOIN pg_opclass own ON own.opcintype = a.atttypid AND own.opcdefault AND own.oid <> part.opclass
          JOIN pg_am m ON m.oid = own.opcmethod AND m.amname = 'btree'));

-- name: lock
-- COPY and CREATE TABLE AS take their snapshot before they wait for a relation's lock: a table that is rewritten or
-- reloaded meanwhile is empty in such a snapshot. This statement waits, and the transaction keeps the lock.
SELECT FROM {source} LIMIT 0;

-- name: is_view
SELECT relkind = 'v' FROM pg_class
WHERE oid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(relation)s));

-- name: serially
-- A parallel sum of floats, or one over a scan that begins anywhere, has other last digits each time.
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL synchronize_seqscans = off;

-- name: passing_time
-- What a view, or one below it, calls that gives another value as time passes; read from the stored parse trees.
WITH RECURSIVE used (oid) AS (
    SELECT to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(relation)s))::oid
    UNION
    SELECT d.refobjid FROM used u
    JOIN pg_rewrite r ON r.ev_class = u.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
), tree AS (
    SELECT r.ev_action::text AS text FROM used u JOIN pg_rewrite r ON r.ev_class = u.oid
    JOIN pg_class c ON c.oid = u.oid AND c.relkind = 'v'
)
SELECT p.proname::text FROM tree
CROSS JOIN LATERAL regexp_matches(tree.text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') AS match
JOIN pg_proc p ON p.oid = match[1]::oid
WHERE p.provolatile = 'v'
   OR p.pronamespace <> 'pg_catalog'::regnamespace AND p.provolatile = 's'
   OR p.pronamespace = 'pg_catalog'::regnamespace
      AND (p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp') OR p.proname = 'age' AND p.pronargs = 1)
UNION
SELECT CASE WHEN match[1]::int = 0 THEN 'current_date' WHEN match[1]::int < 3 THEN 'current_time'
            WHEN match[1]::int < 5 THEN 'current_timestamp' WHEN match[1]::int < 7 THEN 'localtime'
            ELSE 'localtimestamp' END
FROM tree CROSS JOIN LATERAL regexp_matches(tree.text, 'SQLVALUEFUNCTION :op ([0-8])\M', 'g') AS match
ORDER BY 1;

-- name: input_hash
-- Postgres hashes the text form: exact for every type under the session settings of our connections.
md5({names} || ROW({inputs})::text)::uuid

-- name: input_hash_if_short
-- Such a text form is limited to 1 GB. A row that comes near it has no hash, and no model is given it.
CASE WHEN {octets} < {limit} THEN md5({names} || ROW({inputs})::text)::uuid END

-- name: rows
-- Only what the job names is asked for: a role may have the right to read these columns and no others.
(SELECT {columns}, true AS present FROM {source} WHERE ({where}))

-- name: octets
coalesce(octet_length({value}), 0)

-- name: stored_octets
-- Compressed values are counted at eight times what is stored.
coalesce(8 * pg_column_size({value}), 0)
