SET check_function_bodies = off;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA prediction;
CREATE SCHEMA prediction_work;
CREATE FUNCTION prediction.begun__current() RETURNS TABLE(id bigint, run_id bigint, predicted_at timestamp with time zone, is_current boolean)
    LANGUAGE sql STABLE
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET standard_conforming_strings TO 'on'
    SET default_transaction_isolation TO 'read committed'
    AS $$SELECT "s"."id", p.run_id, p.predicted_at, p.input_hash IS NOT DISTINCT FROM md5('[1, "text"]' || ROW("s"."text")::text)::uuid
FROM (SELECT * FROM "public"."message" WHERE (true)) s LEFT JOIN "prediction"."begun" p ON "p"."id" = "s"."id" /* SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = '1' SET standard_conforming_strings = 'on' SET default_transaction_isolation = 'read committed' */$$;
CREATE FUNCTION prediction.steady__current() RETURNS TABLE(id bigint, run_id bigint, predicted_at timestamp with time zone, is_current boolean)
    LANGUAGE sql STABLE
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET standard_conforming_strings TO 'on'
    SET default_transaction_isolation TO 'read committed'
    AS $$SELECT "s"."id", p.run_id, p.predicted_at, p.input_hash IS NOT DISTINCT FROM md5('[1, "text"]' || ROW("s"."text")::text)::uuid
FROM (SELECT * FROM "public"."message" WHERE (true)) s LEFT JOIN "prediction"."steady" p ON "p"."id" = "s"."id" /* SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = '1' SET standard_conforming_strings = 'on' SET default_transaction_isolation = 'read committed' */$$;
CREATE FUNCTION prediction.waiting__current() RETURNS TABLE(id bigint, run_id bigint, predicted_at timestamp with time zone, is_current boolean)
    LANGUAGE sql STABLE
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET standard_conforming_strings TO 'on'
    SET default_transaction_isolation TO 'read committed'
    AS $$SELECT "s"."id", p.run_id, p.predicted_at, p.input_hash IS NOT DISTINCT FROM md5('[1, "text"]' || ROW("s"."text")::text)::uuid
FROM (SELECT * FROM "public"."message" WHERE (true)) s LEFT JOIN "prediction"."waiting" p ON "p"."id" = "s"."id" /* SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET IntervalStyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = '1' SET standard_conforming_strings = 'on' SET default_transaction_isolation = 'read committed' */$$;
CREATE TABLE prediction.begun__blue (
    id bigint NOT NULL,
    input_hash uuid,
    model_id integer NOT NULL,
    run_id bigint NOT NULL,
    predicted_at timestamp with time zone NOT NULL,
    digest text,
    length bigint
);
CREATE TABLE prediction.model (
    model_id integer NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    mlflow_run_id text,
    artifact text NOT NULL,
    python_version text NOT NULL,
    requirements jsonb NOT NULL,
    inputs jsonb NOT NULL,
    outputs jsonb NOT NULL,
    pickled boolean NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE VIEW prediction.begun AS
 SELECT p.id,
    p.digest,
    p.length,
    m.name AS model_name,
    m.version AS model_version,
    p.input_hash,
    p.model_id,
    p.run_id,
    p.predicted_at
   FROM (prediction.begun__blue p
     JOIN prediction.model m USING (model_id));
CREATE VIEW prediction.begun__current AS
 SELECT id,
    run_id,
    predicted_at,
    is_current
   FROM prediction.begun__current() begun__current(id, run_id, predicted_at, is_current);
CREATE TABLE prediction.job (
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT job_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,39}$'::text))
);
CREATE TABLE prediction.quarantine (
    quarantine_id bigint NOT NULL,
    job text NOT NULL,
    key text[] NOT NULL,
    input_hash uuid,
    model_id integer NOT NULL,
    run_id bigint NOT NULL,
    error text NOT NULL,
    message text NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    resolved_at timestamp with time zone,
    CONSTRAINT quarantine_state_check CHECK ((state = ANY (ARRAY['open'::text, 'replay'::text, 'resolved'::text])))
);
CREATE TABLE prediction.run (
    run_id bigint NOT NULL,
    job text NOT NULL,
    orchestrator text NOT NULL,
    external_id text NOT NULL,
    state text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    generation integer DEFAULT 1 NOT NULL,
    model_id integer NOT NULL,
    definition jsonb NOT NULL,
    request jsonb NOT NULL,
    sweep boolean DEFAULT false NOT NULL,
    window_start timestamp with time zone,
    source_time timestamp with time zone NOT NULL,
    complete boolean DEFAULT false NOT NULL,
    oldest_pending timestamp with time zone,
    approved boolean DEFAULT false NOT NULL,
    pending bigint DEFAULT 0 NOT NULL,
    planned bigint DEFAULT 0 NOT NULL,
    predicted bigint DEFAULT 0 NOT NULL,
    reused bigint DEFAULT 0 NOT NULL,
    quarantined bigint DEFAULT 0 NOT NULL,
    vanished bigint DEFAULT 0 NOT NULL,
    deferred bigint DEFAULT 0 NOT NULL,
    changed_at_read bigint DEFAULT 0 NOT NULL,
    deleted bigint DEFAULT 0 NOT NULL,
    timings jsonb DEFAULT '{}'::jsonb NOT NULL,
    report text,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    image text,
    image_id text,
    dense boolean DEFAULT false NOT NULL,
    CONSTRAINT run_state_check CHECK ((state = ANY (ARRAY['planned'::text, 'predicting'::text, 'checked'::text, 'held'::text, 'published'::text, 'failed'::text, 'empty'::text, 'superseded'::text])))
);
CREATE VIEW prediction.run_summary AS
 SELECT r.run_id,
    r.job,
    r.state,
    r.message,
    m.name AS model_name,
    m.version AS model_version,
    r.sweep,
    r.planned,
    r.predicted,
    r.reused,
    r.quarantined,
    r.vanished,
    r.deferred,
    r.changed_at_read,
    r.deleted,
    r.created_at,
    r.finished_at,
    (r.finished_at - r.created_at) AS duration,
    r.timings,
    r.orchestrator,
    r.external_id,
    (r.request ->> 'mode'::text) AS mode,
    r.image,
    r.image_id
   FROM (prediction.run r
     JOIN prediction.model m USING (model_id));
CREATE VIEW prediction.job_status AS
 SELECT j.name AS job,
    last.run_id AS last_run,
    last.state AS last_state,
    last.message AS last_message,
    last.created_at AS last_run_at,
        CASE last.state
            WHEN 'empty'::text THEN (0)::bigint
            WHEN 'published'::text THEN ((last.pending - last.planned) + last.deferred)
            ELSE last.pending
        END AS pending,
        CASE
            WHEN (last.state <> ALL (ARRAY['published'::text, 'empty'::text])) THEN last.oldest_pending
            ELSE NULL::timestamp with time zone
        END AS oldest_pending,
    COALESCE(complete.source_time, j.created_at) AS fresh_to,
    published.run_id AS published_run,
    published.finished_at AS published_at,
    published.model_name,
    published.model_version,
    ( SELECT count(*) AS count
           FROM prediction.quarantine q
          WHERE ((q.job = j.name) AND (q.state <> 'resolved'::text))) AS quarantined
   FROM (((prediction.job j
     LEFT JOIN LATERAL ( SELECT r.run_id,
            r.job,
            r.orchestrator,
            r.external_id,
            r.state,
            r.message,
            r.generation,
            r.model_id,
            r.definition,
            r.request,
            r.sweep,
            r.window_start,
            r.source_time,
            r.complete,
            r.oldest_pending,
            r.approved,
            r.pending,
            r.planned,
            r.predicted,
            r.reused,
            r.quarantined,
            r.vanished,
            r.deferred,
            r.changed_at_read,
            r.deleted,
            r.timings,
            r.report,
            r.heartbeat,
            r.created_at,
            r.finished_at
           FROM prediction.run r
          WHERE ((r.job = j.name) AND (r.state <> 'superseded'::text))
          ORDER BY r.run_id DESC
         LIMIT 1) last ON (true))
     LEFT JOIN LATERAL ( SELECT r.run_id,
            r.job,
            r.state,
            r.message,
            r.model_name,
            r.model_version,
            r.sweep,
            r.planned,
            r.predicted,
            r.reused,
            r.quarantined,
            r.vanished,
            r.deferred,
            r.changed_at_read,
            r.deleted,
            r.created_at,
            r.finished_at,
            r.duration,
            r.timings,
            r.orchestrator,
            r.external_id,
            r.mode
           FROM prediction.run_summary r
          WHERE ((r.job = j.name) AND (r.state = 'published'::text))
          ORDER BY r.run_id DESC
         LIMIT 1) published ON (true))
     LEFT JOIN LATERAL ( SELECT r.source_time
           FROM prediction.run r
          WHERE ((r.job = j.name) AND r.complete)
          ORDER BY r.run_id DESC
         LIMIT 1) complete ON (true));
CREATE TABLE prediction.migration (
    number integer NOT NULL,
    name text NOT NULL,
    content text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE prediction.model ALTER COLUMN model_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME prediction.model_model_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE prediction.pruned (
    job text NOT NULL,
    state text NOT NULL,
    runs bigint NOT NULL
);
CREATE VIEW prediction.quarantine_open AS
 SELECT q.job,
    q.key,
    q.error,
    q.message,
    m.name AS model_name,
    m.version AS model_version,
    q.run_id,
    q.state,
    q.created_at,
    q.quarantine_id
   FROM (prediction.quarantine q
     JOIN prediction.model m USING (model_id))
  WHERE (q.state <> 'resolved'::text);
ALTER TABLE prediction.quarantine ALTER COLUMN quarantine_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME prediction.quarantine_quarantine_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE prediction.run ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME prediction.run_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW prediction.run_totals AS
 SELECT job,
    state,
    (sum(runs))::bigint AS runs
   FROM ( SELECT run.job,
            run.state,
            count(*) AS runs
           FROM prediction.run
          GROUP BY run.job, run.state
        UNION ALL
         SELECT pruned.job,
            pruned.state,
            pruned.runs
           FROM prediction.pruned) counted
  GROUP BY job, state;
CREATE TABLE prediction.shard (
    run_id bigint NOT NULL,
    generation integer NOT NULL,
    shard integer NOT NULL,
    model_id integer NOT NULL,
    first_ordinal bigint NOT NULL,
    last_ordinal bigint NOT NULL,
    cursor bigint NOT NULL,
    cost double precision NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    backends jsonb DEFAULT '[]'::jsonb NOT NULL,
    host text,
    held_memory bigint,
    peak_memory bigint,
    calls bigint DEFAULT 0 NOT NULL,
    seconds double precision DEFAULT 0 NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    batch_size integer,
    memory_kills integer DEFAULT 0 NOT NULL,
    host_class text,
    deaths integer DEFAULT 0 NOT NULL,
    trying int8range,
    apart int8range,
    culprits jsonb DEFAULT '{}'::jsonb NOT NULL
);
CREATE TABLE prediction.steady__blue (
    id bigint NOT NULL,
    input_hash uuid,
    model_id integer NOT NULL,
    run_id bigint NOT NULL,
    predicted_at timestamp with time zone NOT NULL,
    digest text,
    length bigint
);
CREATE VIEW prediction.steady AS
 SELECT p.id,
    p.digest,
    p.length,
    m.name AS model_name,
    m.version AS model_version,
    p.input_hash,
    p.model_id,
    p.run_id,
    p.predicted_at
   FROM (prediction.steady__blue p
     JOIN prediction.model m USING (model_id));
CREATE VIEW prediction.steady__current AS
 SELECT id,
    run_id,
    predicted_at,
    is_current
   FROM prediction.steady__current() steady__current(id, run_id, predicted_at, is_current);
CREATE TABLE prediction.waiting__blue (
    id bigint NOT NULL,
    input_hash uuid,
    model_id integer NOT NULL,
    run_id bigint NOT NULL,
    predicted_at timestamp with time zone NOT NULL,
    digest text,
    length bigint
);
CREATE VIEW prediction.waiting AS
 SELECT p.id,
    p.digest,
    p.length,
    m.name AS model_name,
    m.version AS model_version,
    p.input_hash,
    p.model_id,
    p.run_id,
    p.predicted_at
   FROM (prediction.waiting__blue p
     JOIN prediction.model m USING (model_id));
CREATE VIEW prediction.waiting__current AS
 SELECT id,
    run_id,
    predicted_at,
    is_current
   FROM prediction.waiting__current() waiting__current(id, run_id, predicted_at, is_current);
CREATE UNLOGGED TABLE prediction_work.result_3_1 (
    ordinal bigint NOT NULL,
    outcome text NOT NULL,
    input_hash uuid,
    error text,
    message text,
    digest text,
    length bigint
);
CREATE UNLOGGED TABLE prediction_work.result_4_1 (
    ordinal bigint NOT NULL,
    outcome text NOT NULL,
    input_hash uuid,
    error text,
    message text,
    digest text,
    length bigint
);
CREATE UNLOGGED TABLE prediction_work.work_3_1 (
    key1 bigint,
    input_hash uuid,
    cost double precision,
    changed_at timestamp with time zone,
    ordinal bigint,
    duplicate boolean
);
CREATE UNLOGGED TABLE prediction_work.work_4_1 (
    key1 bigint,
    input_hash uuid,
    cost double precision,
    changed_at timestamp with time zone,
    ordinal bigint,
    duplicate boolean
);
CREATE TABLE public.message (
    id bigint NOT NULL,
    text text,
    channel text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.message ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.message_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO prediction.job VALUES
	('steady', '2026-11-27 15:13:37.54069+00'),
	('waiting', '2026-11-27 15:13:37.764098+00'),
	('begun', '2026-11-27 15:13:37.883067+00');
INSERT INTO prediction.migration VALUES
	(1, '0001_prediction', 'cc526274b392e62a010f0392fb9b6713', '2026-11-27 15:13:37.476135+00'),
	(2, '0002_containers', '714e2b6be00e13656dafe86ef6cb858f', '2026-11-27 15:13:37.486552+00'),
	(3, '0003_run_states', 'aa4f4efecb7daadf8f6f09e96a41662e', '2026-11-27 15:13:37.488587+00'),
	(4, '0004_plain_targets', '312ec69cb254f1e44aa330ae0de394a4', '2026-11-27 15:13:37.489775+00'),
	(5, '0005_dense_runs', '4eb422e9cb7d82677286fffa2852be90', '2026-11-27 15:13:37.491114+00'),
	(6, '0006_batch_sizes', '3a268b37c31d3e73cff41ae68c907789', '2026-11-27 15:13:37.491953+00'),
	(7, '0007_work_schema', 'b47e125fc06b70a1389e20be68d2e90f', '2026-11-27 15:13:37.49293+00'),
	(8, '0008_pruned', 'eae84ce91971e9a4f32d8c4738aa0663', '2026-11-27 15:13:37.493977+00'),
	(9, '0009_trials', '632e9f4f0403910a684374bd56f894bd', '2026-11-27 15:13:37.495789+00');
INSERT INTO prediction.model OVERRIDING SYSTEM VALUE VALUES
	(1, 'intent', '1', 'digest-1', NULL, 'models:/m-1', '3.11.7', '[]', '[{"name": "text", "type": "string", "dtype": "object", "required": true}]', '[{"name": "digest", "type": "text", "required": true}, {"name": "length", "type": "bigint", "required": true}]', false, '2026-11-27 15:13:37.532951+00');
INSERT INTO prediction.run OVERRIDING SYSTEM VALUE VALUES
	(1, 'steady', 'airflow', 'run-1', 'published', '6 rows in 1 shards by intent version 1; predicted 6', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "steady", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608, "rows_per_second": null}, "checks": {"outputs": {}, "tolerance": 0.00001, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_held": [], "on_stale": [], "on_failure": [], "on_quarantine": [], "max_quarantine_rate": null}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 0 1 1 *", "where": null, "cursor": "updated_at", "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "none", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "timeouts": {"page": "5min", "plan": "60min", "batch": "10min"}, "resources": {"cpus": 1.0, "memory": "2Gi", "threads": null}, "kubernetes": {"gpus": 0, "secret": "prediction-connections", "namespace": "predictions", "tolerations": [], "node_selector": {}, "start_timeout": "15min", "service_account": "default", "image_pull_secrets": []}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', true, NULL, '2026-11-27 15:13:37.54069+00', true, '2026-11-27 12:13:37.523196+00', false, 6, 6, 6, 0, 0, 0, 0, 0, 0, '{"plan": 0.0252924679998614, "check": 0.010619269000017084, "predict": 0.022200044999863167, "publish": 0.013331489999927726}', NULL, '2026-11-27 15:13:37.633249+00', '2026-11-27 15:13:37.54069+00', '2026-11-27 15:13:37.633249+00', NULL, NULL, false),
	(2, 'steady', 'airflow', 'run-2', 'published', '1 rows in 1 shards by intent version 1; predicted 1', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "steady", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608, "rows_per_second": null}, "checks": {"outputs": {}, "tolerance": 0.00001, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_held": [], "on_stale": [], "on_failure": [], "on_quarantine": [], "max_quarantine_rate": null}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 0 1 1 *", "where": null, "cursor": "updated_at", "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "none", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "timeouts": {"page": "5min", "plan": "60min", "batch": "10min"}, "resources": {"cpus": 1.0, "memory": "2Gi", "threads": null}, "kubernetes": {"gpus": 0, "secret": "prediction-connections", "namespace": "predictions", "tolerations": [], "node_selector": {}, "start_timeout": "15min", "service_account": "default", "image_pull_secrets": []}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', false, '2026-11-27 14:13:37.54069+00', '2026-11-27 15:13:37.650354+00', true, '2026-11-27 15:13:37.643218+00', false, 1, 1, 1, 0, 0, 0, 0, 0, 0, '{"plan": 0.024321014999713952, "check": 0.009899804999804473, "predict": 0.016874017999725766, "publish": 0.01540319899959286}', NULL, '2026-11-27 15:13:37.74005+00', '2026-11-27 15:13:37.650354+00', '2026-11-27 15:13:37.74005+00', NULL, NULL, false),
	(3, 'waiting', 'airflow', 'run-3', 'held', '6 rows in 1 shards by intent version 1; predicted 6', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "waiting", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608, "rows_per_second": null}, "checks": {"outputs": {}, "tolerance": 0.00001, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_held": [], "on_stale": [], "on_failure": [], "on_quarantine": [], "max_quarantine_rate": null}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 3 * * *", "where": null, "cursor": null, "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "none", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "timeouts": {"page": "5min", "plan": "60min", "batch": "10min"}, "resources": {"cpus": 1.0, "memory": "2Gi", "threads": null}, "kubernetes": {"gpus": 0, "secret": "prediction-connections", "namespace": "predictions", "tolerations": [], "node_selector": {}, "start_timeout": "15min", "service_account": "default", "image_pull_secrets": []}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "hold", "key_from": null, "row_limit": null}', true, NULL, '2026-11-27 15:13:37.764098+00', false, '2026-11-27 15:13:37.764098+00', false, 6, 6, 6, 0, 0, 0, 0, 0, 0, '{"plan": 0.04476654900008725, "check": 0.013472854999690753, "predict": 0.01512887499984572}', NULL, '2026-11-27 15:13:37.863737+00', '2026-11-27 15:13:37.764098+00', NULL, NULL, NULL, false),
	(4, 'begun', 'airflow', 'run-4', 'predicting', '6 rows in 1 shards by intent version 1', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "begun", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 3, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608, "rows_per_second": null}, "checks": {"outputs": {}, "tolerance": 0.00001, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_held": [], "on_stale": [], "on_failure": [], "on_quarantine": [], "max_quarantine_rate": null}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 3 * * *", "where": null, "cursor": null, "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "none", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "timeouts": {"page": "5min", "plan": "60min", "batch": "10min"}, "resources": {"cpus": 1.0, "memory": "2Gi", "threads": null}, "kubernetes": {"gpus": 0, "secret": "prediction-connections", "namespace": "predictions", "tolerations": [], "node_selector": {}, "start_timeout": "15min", "service_account": "default", "image_pull_secrets": []}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', true, NULL, '2026-11-27 15:13:37.883067+00', false, '2026-11-27 15:13:37.883067+00', false, 6, 6, 0, 0, 0, 0, 0, 0, 0, '{"plan": 0.037213367000276776}', NULL, '2026-11-27 15:13:37.914755+00', '2026-11-27 15:13:37.883067+00', NULL, NULL, NULL, false);
INSERT INTO prediction.shard VALUES
	(1, 1, 1, 1, 1, 6, 6, 60, 1, '[{"pid": 719, "started": "2026-11-27T15:13:37.575025+00:00"}, {"pid": 721, "started": "2026-11-27T15:13:37.597993+00:00"}]', 'worker', 154763264, 162086912, 1, 0.022200044999863167, '2026-11-27 15:13:37.607218+00', 64, 0, NULL, 0, NULL, NULL, '{}'),
	(2, 1, 1, 1, 1, 1, 1, 7, 1, '[{"pid": 731, "started": "2026-11-27T15:13:37.689569+00:00"}, {"pid": 735, "started": "2026-11-27T15:13:37.704339+00:00"}]', 'worker', 162148352, 162164736, 1, 0.016874017999725766, '2026-11-27 15:13:37.712733+00', 64, 0, NULL, 0, NULL, NULL, '{}'),
	(3, 1, 1, 1, 1, 6, 6, 57, 1, '[{"pid": 749, "started": "2026-11-27T15:13:37.822086+00:00"}, {"pid": 753, "started": "2026-11-27T15:13:37.83856+00:00"}]', 'worker', 162181120, 162197504, 1, 0.01512887499984572, '2026-11-27 15:13:37.848294+00', 64, 0, NULL, 0, NULL, NULL, '{}'),
	(4, 1, 1, 1, 1, 6, 3, 57, 1, '[{"pid": 770, "started": "2026-11-27T15:13:37.934718+00:00"}, {"pid": 774, "started": "2026-11-27T15:13:37.956548+00:00"}]', 'worker', 162205696, 162238464, 1, 0.01984629099979429, '2026-11-27 15:13:37.969255+00', 64, 0, NULL, 0, NULL, NULL, '{}');
INSERT INTO prediction.steady__blue VALUES
	(3, '1e54e828-f7de-8aed-248d-a2ea9b7820b2', 1, 1, '2026-11-27 15:13:37.625286+00', '84768ddee659efeafdeb972b55143141bc23b6e333c70e8b68d29774ab09a548', 9),
	(2, '74ae638d-721a-7fa7-866a-5e3a4785f33d', 1, 1, '2026-11-27 15:13:37.625286+00', 'b526aef1a341cfe6e5c377ed4c222888eeb81f913a107110a867e009c1758f24', 9),
	(6, '917c54d0-256f-0c6a-2f4f-46d41e1f0f7c', 1, 1, '2026-11-27 15:13:37.625286+00', 'ee2a8bc71ab625659947b3f4001195a67062f249566b4cfb341ed53b1b943caa', 9),
	(4, 'd40fc1e8-57ce-55d7-e2bc-ea14d3b9c93d', 1, 1, '2026-11-27 15:13:37.625286+00', 'fb29a8d5309d7c35b180dbd78c63a455a5d1fb45149a3264c08f1aff43524beb', 9),
	(5, 'd8030055-788b-83bb-e070-8cd9327a61b8', 1, 1, '2026-11-27 15:13:37.625286+00', '1c5ba87422760b1457f1413aa1d3ae2f27da7a8836d002af70ae566b75a4a845', 9),
	(1, 'fa19abdc-86ab-2e98-0fc5-e7cd5aee5839', 1, 2, '2026-11-27 15:13:37.730413+00', '1fb9f4097256db2d7b1e13aff79cee44339891a31c556b9cf6093885773b3618', 6);
INSERT INTO prediction_work.result_3_1 VALUES
	(0, 'sentinel', NULL, NULL, NULL, NULL, NULL),
	(1, 'predicted', '1e54e828-f7de-8aed-248d-a2ea9b7820b2', NULL, NULL, '84768ddee659efeafdeb972b55143141bc23b6e333c70e8b68d29774ab09a548', 9),
	(2, 'predicted', '74ae638d-721a-7fa7-866a-5e3a4785f33d', NULL, NULL, 'b526aef1a341cfe6e5c377ed4c222888eeb81f913a107110a867e009c1758f24', 9),
	(3, 'predicted', '917c54d0-256f-0c6a-2f4f-46d41e1f0f7c', NULL, NULL, 'ee2a8bc71ab625659947b3f4001195a67062f249566b4cfb341ed53b1b943caa', 9),
	(4, 'predicted', 'd40fc1e8-57ce-55d7-e2bc-ea14d3b9c93d', NULL, NULL, 'fb29a8d5309d7c35b180dbd78c63a455a5d1fb45149a3264c08f1aff43524beb', 9),
	(5, 'predicted', 'd8030055-788b-83bb-e070-8cd9327a61b8', NULL, NULL, '1c5ba87422760b1457f1413aa1d3ae2f27da7a8836d002af70ae566b75a4a845', 9),
	(6, 'predicted', 'fa19abdc-86ab-2e98-0fc5-e7cd5aee5839', NULL, NULL, '1fb9f4097256db2d7b1e13aff79cee44339891a31c556b9cf6093885773b3618', 6);
INSERT INTO prediction_work.result_4_1 VALUES
	(0, 'sentinel', NULL, NULL, NULL, NULL, NULL),
	(1, 'predicted', '1e54e828-f7de-8aed-248d-a2ea9b7820b2', NULL, NULL, '84768ddee659efeafdeb972b55143141bc23b6e333c70e8b68d29774ab09a548', 9),
	(2, 'predicted', '74ae638d-721a-7fa7-866a-5e3a4785f33d', NULL, NULL, 'b526aef1a341cfe6e5c377ed4c222888eeb81f913a107110a867e009c1758f24', 9),
	(3, 'predicted', '917c54d0-256f-0c6a-2f4f-46d41e1f0f7c', NULL, NULL, 'ee2a8bc71ab625659947b3f4001195a67062f249566b4cfb341ed53b1b943caa', 9);
INSERT INTO prediction_work.work_3_1 VALUES
	(3, '1e54e828-f7de-8aed-248d-a2ea9b7820b2', 10, NULL, 1, false),
	(2, '74ae638d-721a-7fa7-866a-5e3a4785f33d', 10, NULL, 2, false),
	(6, '917c54d0-256f-0c6a-2f4f-46d41e1f0f7c', 10, NULL, 3, false),
	(4, 'd40fc1e8-57ce-55d7-e2bc-ea14d3b9c93d', 10, NULL, 4, false),
	(5, 'd8030055-788b-83bb-e070-8cd9327a61b8', 10, NULL, 5, false),
	(1, 'fa19abdc-86ab-2e98-0fc5-e7cd5aee5839', 7, NULL, 6, false),
	(NULL, NULL, NULL, NULL, 0, false);
INSERT INTO prediction_work.work_4_1 VALUES
	(3, '1e54e828-f7de-8aed-248d-a2ea9b7820b2', 10, NULL, 1, false),
	(2, '74ae638d-721a-7fa7-866a-5e3a4785f33d', 10, NULL, 2, false),
	(6, '917c54d0-256f-0c6a-2f4f-46d41e1f0f7c', 10, NULL, 3, false),
	(4, 'd40fc1e8-57ce-55d7-e2bc-ea14d3b9c93d', 10, NULL, 4, false),
	(5, 'd8030055-788b-83bb-e070-8cd9327a61b8', 10, NULL, 5, false),
	(1, 'fa19abdc-86ab-2e98-0fc5-e7cd5aee5839', 7, NULL, 6, false),
	(NULL, NULL, NULL, NULL, 0, false);
INSERT INTO public.message VALUES
	(2, 'message 1', NULL, '2026-11-27 12:13:37.523196+00'),
	(3, 'message 2', NULL, '2026-11-27 12:13:37.523196+00'),
	(4, 'message 3', NULL, '2026-11-27 12:13:37.523196+00'),
	(5, 'message 4', NULL, '2026-11-27 12:13:37.523196+00'),
	(6, 'message 5', NULL, '2026-11-27 12:13:37.523196+00'),
	(1, 'edited', NULL, '2026-11-27 15:13:37.643218+00');
SELECT pg_catalog.setval('prediction.model_model_id_seq', 3, true);
SELECT pg_catalog.setval('prediction.quarantine_quarantine_id_seq', 1, false);
SELECT pg_catalog.setval('prediction.run_run_id_seq', 4, true);
SELECT pg_catalog.setval('public.message_id_seq', 6, true);
ALTER TABLE ONLY prediction.begun__blue
    ADD CONSTRAINT begun__blue_pkey PRIMARY KEY (id);
ALTER TABLE ONLY prediction.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (name);
ALTER TABLE ONLY prediction.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);
ALTER TABLE ONLY prediction.model
    ADD CONSTRAINT model_name_version_digest_key UNIQUE (name, version, digest);
ALTER TABLE ONLY prediction.model
    ADD CONSTRAINT model_pkey PRIMARY KEY (model_id);
ALTER TABLE ONLY prediction.pruned
    ADD CONSTRAINT pruned_pkey PRIMARY KEY (job, state);
ALTER TABLE ONLY prediction.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (quarantine_id);
ALTER TABLE ONLY prediction.run
    ADD CONSTRAINT run_job_orchestrator_external_id_key UNIQUE (job, orchestrator, external_id);
ALTER TABLE ONLY prediction.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY prediction.shard
    ADD CONSTRAINT shard_pkey PRIMARY KEY (run_id, generation, shard);
ALTER TABLE ONLY prediction.steady__blue
    ADD CONSTRAINT steady__blue_pkey PRIMARY KEY (id);
ALTER TABLE ONLY prediction.waiting__blue
    ADD CONSTRAINT waiting__blue_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX quarantine_key ON prediction.quarantine USING btree (job, key) WHERE (state <> 'resolved'::text);
CREATE INDEX run_job ON prediction.run USING btree (job, run_id DESC);
CREATE INDEX run_job_state ON prediction.run USING btree (job, state, run_id DESC) INCLUDE (model_id);
CREATE UNIQUE INDEX run_one_open ON prediction.run USING btree (job) WHERE (state = ANY (ARRAY['planned'::text, 'predicting'::text, 'checked'::text, 'held'::text]));
CREATE INDEX shard_batch_size ON prediction.shard USING btree (model_id, host_class, run_id DESC) WHERE (host_class IS NOT NULL);
CREATE UNIQUE INDEX work_3_1_ordinal_idx ON prediction_work.work_3_1 USING btree (ordinal) WHERE (NOT duplicate);
CREATE UNIQUE INDEX work_4_1_ordinal_idx ON prediction_work.work_4_1 USING btree (ordinal) WHERE (NOT duplicate);
ALTER TABLE ONLY prediction.pruned
    ADD CONSTRAINT pruned_job_fkey FOREIGN KEY (job) REFERENCES prediction.job(name) ON DELETE CASCADE;
ALTER TABLE ONLY prediction.quarantine
    ADD CONSTRAINT quarantine_job_fkey FOREIGN KEY (job) REFERENCES prediction.job(name);
ALTER TABLE ONLY prediction.quarantine
    ADD CONSTRAINT quarantine_model_id_fkey FOREIGN KEY (model_id) REFERENCES prediction.model(model_id);
ALTER TABLE ONLY prediction.run
    ADD CONSTRAINT run_job_fkey FOREIGN KEY (job) REFERENCES prediction.job(name);
ALTER TABLE ONLY prediction.run
    ADD CONSTRAINT run_model_id_fkey FOREIGN KEY (model_id) REFERENCES prediction.model(model_id);
ALTER TABLE ONLY prediction.shard
    ADD CONSTRAINT shard_model_id_fkey FOREIGN KEY (model_id) REFERENCES prediction.model(model_id);
ALTER TABLE ONLY prediction.shard
    ADD CONSTRAINT shard_run_id_fkey FOREIGN KEY (run_id) REFERENCES prediction.run(run_id) ON DELETE CASCADE;
