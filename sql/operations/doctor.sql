-- What `doctor` looks at.

-- name: session
SELECT current_user::text AS role, current_setting('server_version') AS version, clock_timestamp() AS now,
       current_setting('transaction_read_only')::boolean AS read_only,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser;

-- name: may_plan
SELECT has_schema_privilege('prediction_work', 'CREATE') AND has_table_privilege('prediction.run', 'INSERT');

-- name: may_score
SELECT has_schema_privilege('prediction_work', 'USAGE') AND has_column_privilege('prediction.shard', 'cursor', 'UPDATE')
       AND has_column_privilege('prediction.run', 'state', 'UPDATE');

-- name: source
-- The policies as this role meets them; where they use current_user, equal ones may still show other rows.
SELECT has_schema_privilege(n.oid, 'USAGE') AND (
           has_table_privilege(c.oid, 'SELECT')
           OR (SELECT bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = ANY (%(columns)s))) AS readable,
       row_security_active(c.oid) AS restricted,
       ARRAY(SELECT p.polname::text FROM pg_policy p
             WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
               AND (p.polroles = '{{0}}' OR EXISTS (SELECT FROM unnest(p.polroles) r WHERE pg_has_role(r, 'USAGE')))
             ORDER BY p.polname) AS policies
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(relation)s;

-- name: prepared
SELECT count(*) = 2 FROM pg_class
WHERE relnamespace = 'prediction'::regnamespace AND relname IN (%(job)s, %(job)s || '__blue');

-- name: sessions
SELECT count(*)
FROM prediction.run r
JOIN prediction.shard s USING (run_id)
CROSS JOIN LATERAL jsonb_to_recordset(s.backends) AS b (pid integer, started timestamptz, name text)
JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.started AND a.application_name = b.name
WHERE s.generation < r.generation OR r.state NOT IN ('planned', 'predicting');

-- name: last_complete
SELECT run_id, source_time FROM prediction.run WHERE job = %(job)s AND complete ORDER BY run_id DESC LIMIT 1;
