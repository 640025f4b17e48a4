-- `prediction.<job>__current`: each row of the source, and whether its prediction is up to date.

-- name: rows
SELECT {keys}, p.run_id, p.predicted_at, {current}
FROM {rows} s LEFT JOIN {view} p ON {joined}

-- name: body
SELECT prosrc FROM pg_proc WHERE pronamespace = 'prediction'::regnamespace AND proname = %(name)s;

-- name: create
CREATE OR REPLACE FUNCTION {name}()
RETURNS TABLE ({keys}, run_id bigint, predicted_at timestamptz, is_current boolean)
LANGUAGE sql STABLE {settings} AS {body};
CREATE OR REPLACE VIEW {name} AS SELECT * FROM {name}();
