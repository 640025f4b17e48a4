-- The tables that every job shares. Why they are as they are: docs/decisions.md.

CREATE TABLE prediction.job (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE prediction.job IS 'Jobs that planned at least once. Its row is the lock of plan and publish.';

CREATE TABLE prediction.model (
    model_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL,
    version        text NOT NULL,
    digest         text NOT NULL,
    mlflow_run_id  text,
    artifact       text NOT NULL,
    python_version text NOT NULL,
    requirements   jsonb NOT NULL,
    inputs         jsonb NOT NULL,
    outputs        jsonb NOT NULL,
    pickled        boolean NOT NULL,
    first_seen_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version, digest)
);
COMMENT ON TABLE prediction.model IS 'What a prediction was made by: registry name, version, digest of the artifact.';

CREATE TABLE prediction.run (
    run_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job             text NOT NULL REFERENCES prediction.job,
    orchestrator    text NOT NULL,
    external_id     text NOT NULL,
    state           text NOT NULL CHECK (state IN
                        ('planned', 'predicting', 'checked', 'held', 'published', 'failed', 'empty', 'superseded')),
    message         text NOT NULL DEFAULT '',
    generation      integer NOT NULL DEFAULT 1,
    model_id        integer NOT NULL REFERENCES prediction.model,
    definition      jsonb NOT NULL,
    request         jsonb NOT NULL,
    sweep           boolean NOT NULL DEFAULT false,
    window_start    timestamptz,
    source_time     timestamptz NOT NULL,
    complete        boolean NOT NULL DEFAULT false,
    oldest_pending  timestamptz,
    approved        boolean NOT NULL DEFAULT false,
    pending         bigint NOT NULL DEFAULT 0,
    planned         bigint NOT NULL DEFAULT 0,
    predicted       bigint NOT NULL DEFAULT 0,
    reused          bigint NOT NULL DEFAULT 0,
    quarantined     bigint NOT NULL DEFAULT 0,
    vanished        bigint NOT NULL DEFAULT 0,
    deferred        bigint NOT NULL DEFAULT 0,
    changed_at_read bigint NOT NULL DEFAULT 0,
    deleted         bigint NOT NULL DEFAULT 0,
    timings         jsonb NOT NULL DEFAULT '{}',
    report          text,
    heartbeat       timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    UNIQUE (job, orchestrator, external_id)
);
CREATE INDEX run_job ON prediction.run (job, run_id DESC);
-- One active run per job, whatever the code believes.
CREATE UNIQUE INDEX run_one_open ON prediction.run (job)
    WHERE state IN ('planned', 'predicting', 'checked', 'held');
COMMENT ON COLUMN prediction.run.source_time IS 'When plan looked, by the clock of the source.';
COMMENT ON COLUMN prediction.run.complete IS 'The run left nothing over: the next window may start here.';
COMMENT ON COLUMN prediction.run.pending IS 'Rows that plan found; planned are those that it took, if the run had a limit.';
COMMENT ON COLUMN prediction.run.report IS 'MLflow''s id of the run''s report; empty if it could not be logged.';
COMMENT ON COLUMN prediction.run.timings IS 'Seconds by stage.';

CREATE TABLE prediction.shard (
    run_id        bigint NOT NULL REFERENCES prediction.run ON DELETE CASCADE,
    generation    integer NOT NULL,
    shard         integer NOT NULL,
    model_id      integer NOT NULL REFERENCES prediction.model,
    first_ordinal bigint NOT NULL,
    last_ordinal  bigint NOT NULL,
    cursor        bigint NOT NULL,
    cost          double precision NOT NULL,
    attempt       integer NOT NULL DEFAULT 0,
    backends      jsonb NOT NULL DEFAULT '[]',
    host          text,
    held_memory   bigint,
    peak_memory   bigint,
    calls         bigint NOT NULL DEFAULT 0,
    seconds       double precision NOT NULL DEFAULT 0,
    heartbeat     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, generation, shard)
);
COMMENT ON COLUMN prediction.shard.cursor IS 'The last ordinal whose result is committed.';
COMMENT ON COLUMN prediction.shard.backends IS 'Server processes of the latest attempt: [{"pid": .., "started": ..}].';

CREATE TABLE prediction.quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job           text NOT NULL REFERENCES prediction.job,
    key           text[] NOT NULL,
    input_hash    uuid,
    model_id      integer NOT NULL REFERENCES prediction.model,
    run_id        bigint NOT NULL,
    error         text NOT NULL,
    message       text NOT NULL,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replay', 'resolved')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    resolved_at   timestamptz
);
-- At most one unresolved entry for a row, whatever happened to it before.
CREATE UNIQUE INDEX quarantine_key ON prediction.quarantine (job, key) WHERE state <> 'resolved';
COMMENT ON TABLE prediction.quarantine IS 'Rows whose input the model could not score, with the reason.';

CREATE VIEW prediction.quarantine_open AS
SELECT q.job, q.key, q.error, q.message, m.name AS model_name, m.version AS model_version,
       q.run_id, q.state, q.created_at, q.quarantine_id
FROM prediction.quarantine q JOIN prediction.model m USING (model_id)
WHERE q.state <> 'resolved';

CREATE VIEW prediction.run_summary AS
SELECT r.run_id, r.job, r.state, r.message, m.name AS model_name, m.version AS model_version, r.sweep,
       r.planned, r.predicted, r.reused, r.quarantined, r.vanished, r.deferred, r.changed_at_read, r.deleted,
       r.created_at, r.finished_at, r.finished_at - r.created_at AS duration, r.timings,
       r.orchestrator, r.external_id, r.request->>'mode' AS mode
FROM prediction.run r JOIN prediction.model m USING (model_id);

CREATE VIEW prediction.job_status AS
SELECT j.name AS job,
       last.run_id AS last_run, last.state AS last_state, last.message AS last_message,
       last.created_at AS last_run_at,
       CASE last.state WHEN 'empty' THEN 0 WHEN 'published' THEN last.pending - last.planned + last.deferred
                       ELSE last.pending END AS pending,
       CASE WHEN last.state NOT IN ('published', 'empty') THEN last.oldest_pending END AS oldest_pending,
       coalesce(complete.source_time, j.created_at) AS fresh_to,
       published.run_id AS published_run, published.finished_at AS published_at,
       published.model_name, published.model_version,
       (SELECT count(*) FROM prediction.quarantine q
        WHERE q.job = j.name AND q.state <> 'resolved') AS quarantined
FROM prediction.job j
LEFT JOIN LATERAL (
    SELECT r.* FROM prediction.run r
    WHERE r.job = j.name AND r.state <> 'superseded' ORDER BY r.run_id DESC LIMIT 1) last ON true
LEFT JOIN LATERAL (
    SELECT r.* FROM prediction.run_summary r
    WHERE r.job = j.name AND r.state = 'published' ORDER BY r.run_id DESC LIMIT 1) published ON true
LEFT JOIN LATERAL (
    SELECT r.source_time FROM prediction.run r
    WHERE r.job = j.name AND r.complete ORDER BY r.run_id DESC LIMIT 1) complete ON true;
COMMENT ON COLUMN prediction.job_status.pending IS 'Rows that the last plan found and that are not done.';
COMMENT ON COLUMN prediction.job_status.fresh_to IS
    'Every row that was visible then has its prediction or is in quarantine.';
