-- The tables and the view of one job.

-- name: columns
SELECT a.attname::text AS name, format_type(a.atttypid, -1) AS type
FROM pg_attribute a
WHERE a.attrelid = to_regclass('prediction.' || quote_ident(%(table)s)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: canonical
SELECT format_type(%(type)s::text::regtype, -1);

-- name: create_target
-- No foreign key to prediction.model: all rows of a run have one, and its run has the key.
CREATE {kind} {target} (
    {keys},
    input_hash   uuid,
    model_id     integer NOT NULL,
    run_id       bigint NOT NULL,
    predicted_at timestamptz NOT NULL,
    {outputs},
    PRIMARY KEY ({key})
);

-- name: create_history
CREATE TABLE {history} (LIKE {target});
ALTER TABLE {history} ADD COLUMN superseded_at timestamptz NOT NULL DEFAULT now();

-- name: add_column
ALTER TABLE {target} ADD COLUMN {column} {type};

-- name: create_view
-- A view can only gain columns at its end.
CREATE OR REPLACE VIEW {view} AS
SELECT {columns} FROM {target} p JOIN prediction.model m USING (model_id);
