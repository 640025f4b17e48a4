-- What the job's `source` section becomes in SQL.

-- The types come without length limits: a longer value must not be cut, and `character` would mean one.
-- name: columns
SELECT a.attname::text AS name,
       format_type(a.atttypid, -1) AS type,
       CASE WHEN coalesce(b.typtype, t.typtype) = 'e' THEN 'enum' ELSE coalesce(b.typname, t.typname)::text END AS kind,
       CASE WHEN a.attcollation NOT IN (0, 100) THEN quote_ident(n.nspname) || '.' || quote_ident(l.collname) END AS collation,
       a.attnotnull AS required
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
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
           FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)));

-- Postgres hashes the text form: exact for every type under the session settings of our connections.
-- name: input_hash
md5({names} || ROW({inputs})::text)::uuid

-- name: rows
(SELECT * FROM {source} WHERE ({where}))

-- name: octets
coalesce(octet_length({value}), 0)

-- Compressed values are counted at eight times what is stored.
-- name: stored_octets
coalesce(8 * pg_column_size({value}), 0)
