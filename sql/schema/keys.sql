-- The key of a job's tables, and what depends on it.

-- name: key
-- The columns before the first that the pipeline adds.
SELECT a.attname::text AS name, format_type(a.atttypid, -1) AS type,
       CASE WHEN a.attcollation NOT IN (0, 100) THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END AS collation
FROM pg_attribute a
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
WHERE a.attrelid = to_regclass('prediction.' || quote_ident(%(table)s)) AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attnum < (SELECT attnum FROM pg_attribute WHERE attrelid = a.attrelid AND attname = 'input_hash')
ORDER BY a.attnum;

-- name: view_columns
SELECT a.attname::text FROM pg_attribute a
WHERE a.attrelid = to_regclass('prediction.' || quote_ident(%(job)s)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: grants
SELECT c.relname::text AS name,
       format('GRANT %%s ON prediction.%%I TO %%s%%s', given.privilege, c.relname,
              CASE given.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(given.grantee)) END,
              CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM pg_class c CROSS JOIN LATERAL (
    SELECT privilege_type AS privilege, grantee, is_grantable FROM aclexplode(c.relacl)
    UNION ALL
    SELECT x.privilege_type || ' (' || quote_ident(a.attname) || ')', x.grantee, x.is_grantable
    FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) x WHERE a.attrelid = c.oid) given
WHERE c.relnamespace = 'prediction'::regnamespace AND c.relkind = 'v' AND c.relname IN (%(job)s, %(current)s)
  AND given.grantee <> c.relowner;

-- name: patience
SELECT set_config('lock_timeout', %(timeout)s, true);

-- name: drop_views
-- In the order in which a reader takes its locks.
DROP VIEW IF EXISTS {current};
DROP FUNCTION IF EXISTS {current}();
DROP VIEW IF EXISTS {view};

-- name: alter
ALTER TABLE {table} ALTER COLUMN {column} TYPE {type};
