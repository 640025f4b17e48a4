SET check_function_bodies = off;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA prediction;
CREATE FUNCTION prediction.intent__current() RETURNS TABLE(id bigint, run_id bigint, predicted_at timestamp with time zone, is_current boolean)
    LANGUAGE sql STABLE
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET standard_conforming_strings TO 'on'
    SET default_transaction_isolation TO 'read committed'
    AS $$SELECT "s"."id", p.run_id, p.predicted_at, p.input_hash IS NOT DISTINCT FROM md5('[1, "text"]' || ROW("s"."text")::text)::uuid
FROM (SELECT * FROM "public"."message" WHERE (true)) s LEFT JOIN "prediction"."intent__blue" p ON "p"."id" = "s"."id"$$;
CREATE TABLE prediction.intent__blue (
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
CREATE VIEW prediction.intent AS
 SELECT p.id,
    p.digest,
    p.length,
    m.name AS model_name,
    m.version AS model_version,
    p.input_hash,
    p.model_id,
    p.run_id,
    p.predicted_at
   FROM (prediction.intent__blue p
     JOIN prediction.model m USING (model_id));
CREATE VIEW prediction.intent__current AS
 SELECT id,
    run_id,
    predicted_at,
    is_current
   FROM prediction.intent__current() intent__current(id, run_id, predicted_at, is_current);
CREATE TABLE prediction.intent__history (
    id bigint CONSTRAINT intent__blue_id_not_null NOT NULL,
    input_hash uuid,
    model_id integer CONSTRAINT intent__blue_model_id_not_null NOT NULL,
    run_id bigint CONSTRAINT intent__blue_run_id_not_null NOT NULL,
    predicted_at timestamp with time zone CONSTRAINT intent__blue_predicted_at_not_null NOT NULL,
    digest text,
    length bigint,
    superseded_at timestamp with time zone DEFAULT now() NOT NULL
);
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
    (r.request ->> 'mode'::text) AS mode
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
CREATE UNLOGGED TABLE prediction.result_4_1 (
    ordinal bigint NOT NULL,
    outcome text NOT NULL,
    input_hash uuid,
    error text,
    message text,
    digest text,
    length bigint
);
ALTER TABLE prediction.run ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME prediction.run_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
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
    heartbeat timestamp with time zone DEFAULT now() NOT NULL
);
CREATE UNLOGGED TABLE prediction.work_4_1 (
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
INSERT INTO prediction.intent__blue VALUES
	(3, '1e54e828-f7de-8aed-248d-a2ea9b7820b2', 1, 1, '2026-11-24 15:17:55.053786+00', '84768ddee659efeafdeb972b55143141bc23b6e333c70e8b68d29774ab09a548', 9),
	(2, '74ae638d-721a-7fa7-866a-5e3a4785f33d', 1, 1, '2026-11-24 15:17:55.053786+00', 'b526aef1a341cfe6e5c377ed4c222888eeb81f913a107110a867e009c1758f24', 9),
	(8, '7e82b447-cd3c-59a1-9bff-19a4f556fe32', 1, 1, '2026-11-24 15:17:55.053786+00', '5f340db7683440ba8b9301d364a046a2718b02afdd33d439efef2097de1a6ab5', 9),
	(9, '8e09975e-17e1-becb-e491-eb666bf66895', 1, 1, '2026-11-24 15:17:55.053786+00', '6ab3576c0ba38ca4f7783f7c2e69ea298c5cb77e78d4445b0cf07eb3090a19bd', 9),
	(6, '917c54d0-256f-0c6a-2f4f-46d41e1f0f7c', 1, 1, '2026-11-24 15:17:55.053786+00', 'ee2a8bc71ab625659947b3f4001195a67062f249566b4cfb341ed53b1b943caa', 9),
	(7, '962ad908-0365-4bc1-5d07-3bbbe6f19e48', 1, 1, '2026-11-24 15:17:55.053786+00', '5cb3f8d385243211e64abfa55633101f2663bea06c3545a66948cc92a7cc4faa', 9),
	(4, 'd40fc1e8-57ce-55d7-e2bc-ea14d3b9c93d', 1, 1, '2026-11-24 15:17:55.053786+00', 'fb29a8d5309d7c35b180dbd78c63a455a5d1fb45149a3264c08f1aff43524beb', 9),
	(5, 'd8030055-788b-83bb-e070-8cd9327a61b8', 1, 1, '2026-11-24 15:17:55.053786+00', '1c5ba87422760b1457f1413aa1d3ae2f27da7a8836d002af70ae566b75a4a845', 9),
	(10, 'f513956d-ae2a-dcea-52b8-9664406d9099', 1, 1, '2026-11-24 15:17:55.053786+00', 'dc060ec94baf91e30c0845a970c741b6c39579456f7a97e9fee2b7b003cf2b15', 9),
	(11, '0f6aecd7-4f82-f436-a1ca-db3c07894f80', 1, 1, '2026-11-24 15:17:55.053786+00', 'c032f77ad6ee0bdbcc3b3009ff6e384882752ee7d2a6fe42556181456892e749', 10),
	(12, 'a3183548-efcc-5309-5bf3-8b9603c8a3e2', 1, 1, '2026-11-24 15:17:55.053786+00', '95f3b9a33e22159ff4a4a7d3e3fd4215ef6e287450c050eb79751170d68f4be9', 10),
	(13, '2b4b54f0-e6ef-1061-d11b-07cee7120921', 1, 2, '2026-11-24 15:17:55.864883+00', '770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c', 4),
	(1, 'fa19abdc-86ab-2e98-0fc5-e7cd5aee5839', 1, 2, '2026-11-24 15:17:55.864883+00', '1fb9f4097256db2d7b1e13aff79cee44339891a31c556b9cf6093885773b3618', 6);
INSERT INTO prediction.intent__history VALUES
	(1, '0a3a4b38-cbe2-06b4-4a52-f0f04a796297', 1, 1, '2026-11-24 15:17:55.053786+00', '74f2bab0f7b496db35967b365a4bedc0f6378888dea671ec307ee99e677fe21d', 9, '2026-11-24 15:17:55.864883+00');
INSERT INTO prediction.job VALUES
	('intent', '2026-11-24 15:17:54.584883+00');
INSERT INTO prediction.migration VALUES
	(1, '0001_prediction', 'cc526274b392e62a010f0392fb9b6713', '2026-11-24 15:17:54.411481+00');
INSERT INTO prediction.model OVERRIDING SYSTEM VALUE VALUES
	(1, 'intent', '1', 'digest-1', NULL, 'models:/m-1', '3.11.7', '[]', '[{"name": "text", "type": "string", "dtype": "object", "required": true}]', '[{"name": "digest", "type": "text", "required": true}, {"name": "length", "type": "bigint", "required": true}]', false, '2026-11-24 15:17:54.557545+00');
INSERT INTO prediction.quarantine OVERRIDING SYSTEM VALUE VALUES
	(2, 'intent', '{14}', '1cf6c297-296d-544b-77eb-5a0412827eb4', 1, 1, 'ValueError', 'cannot score ''worse''', 'open', '2026-11-24 15:17:55.053786+00', NULL),
	(1, 'intent', '{13}', 'bd01067f-1c12-5424-e8b7-a788c2a7a27d', 1, 1, 'ValueError', 'cannot score ''bad''', 'resolved', '2026-11-24 15:17:55.053786+00', '2026-11-24 15:17:55.864883+00');
INSERT INTO prediction.result_4_1 VALUES
	(0, 'sentinel', NULL, NULL, NULL, NULL, NULL);
INSERT INTO prediction.run OVERRIDING SYSTEM VALUE VALUES
	(1, 'intent', 'airflow', 'run-1', 'published', '14 rows in 1 shards by intent version 1; predicted 12, quarantined 2', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "intent", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608}, "checks": {"outputs": {}, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_stale": [], "on_failure": []}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 3 * * *", "where": null, "cursor": "updated_at", "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "append", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "resources": {"threads": 1}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', true, NULL, '2026-11-24 15:17:54.584883+00', true, '2026-11-24 15:17:54.529982+00', false, 14, 14, 12, 0, 2, 0, 0, 0, 0, '{"plan": 0.13436443799946574, "check": 0.07776327300052799, "predict": 0.09985486400000809, "publish": 0.07615422799972293}', NULL, '2026-11-24 15:17:55.103301+00', '2026-11-24 15:17:54.584883+00', '2026-11-24 15:17:55.103301+00'),
	(2, 'intent', 'airflow', 'run-2', 'published', '2 rows in 1 shards by intent version 1; predicted 2', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "intent", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608}, "checks": {"outputs": {}, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_stale": [], "on_failure": []}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 3 * * *", "where": null, "cursor": "updated_at", "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "append", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "resources": {"threads": 1}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', false, '2026-11-24 14:17:54.584883+00', '2026-11-24 15:17:55.235036+00', true, '2026-11-24 15:17:55.152908+00', false, 2, 2, 2, 0, 0, 0, 0, 0, 0, '{"plan": 0.1918326029990567, "check": 0.056451131000358146, "predict": 0.19000778800000262, "publish": 0.05374938099885185}', NULL, '2026-11-24 15:17:55.903131+00', '2026-11-24 15:17:55.235036+00', '2026-11-24 15:17:55.903131+00'),
	(3, 'intent', 'airflow', 'run-3', 'failed', 'quarantine: 25 of 25 rows (100.00%) could not be scored, max_quarantine_rate is 1.00%; most often ValueError: cannot score ''failing 1''', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "intent", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608}, "checks": {"outputs": {}, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_stale": [], "on_failure": []}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 3 * * *", "where": null, "cursor": "updated_at", "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "append", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "resources": {"threads": 1}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', false, '2026-11-24 14:17:55.235036+00', '2026-11-24 15:17:55.997206+00', false, '2026-11-24 15:17:55.964968+00', false, 25, 25, 0, 0, 25, 0, 0, 0, 0, '{"plan": 0.12256974299998546, "check": 0.04291677699984575, "predict": 0.23107811699992453}', NULL, '2026-11-24 15:17:56.48214+00', '2026-11-24 15:17:55.997206+00', '2026-11-24 15:17:56.48214+00'),
	(4, 'intent', 'airflow', 'run-4', 'predicting', '25 rows in 1 shards by intent version 1', 1, 1, '{"cost": "coalesce(length(text), 0) + 1", "name": "intent", "pool": "default_pool", "tags": [], "model": {"name": "intent", "alias": "champion", "allow_pickle": false, "on_new_version": "new_rows"}, "owner": "tests", "sizes": {"batch_rows": 64, "chunk_rows": 100, "max_shards": 16, "shard_rows": 50000, "chunk_bytes": 8388608}, "checks": {"outputs": {}, "max_quarantine_rate": 0.01, "min_quarantine_rows": 20}, "notify": {"max_age": null, "on_stale": [], "on_failure": []}, "runner": "venv", "source": {"key": ["id"], "sweep": "0 3 * * *", "where": null, "cursor": "updated_at", "inputs": ["text"], "schema": "public", "changes": "hash", "lookback": "1h", "relation": "message", "on_delete": "keep", "connection": "predictions", "max_delete_rate": 0.05}, "history": "append", "retries": {"count": 3, "delay": "30s", "timeout": "6h", "max_delay": "10min"}, "schedule": {"cron": null, "time_zone": "UTC"}, "resources": {"threads": 1}, "deduplicate": null, "description": "A test", "hold_timeout": "1d", "max_planned_rows": 10000000, "max_parallel_shards": 2}', '{"mode": "pending", "model": null, "key_to": null, "dry_run": false, "publish": "publish", "key_from": null, "row_limit": null}', false, '2026-11-24 14:17:55.235036+00', '2026-11-24 15:17:56.502329+00', false, '2026-11-24 15:17:55.964968+00', false, 25, 25, 0, 0, 0, 0, 0, 0, 0, '{"plan": 0.13647528900037287}', NULL, '2026-11-24 15:17:56.62092+00', '2026-11-24 15:17:56.502329+00', NULL);
INSERT INTO prediction.shard VALUES
	(1, 1, 1, 1, 1, 14, 14, 132, 1, '[{"pid": 17759, "started": "2026-11-24T15:17:54.737114+00:00"}, {"pid": 17760, "started": "2026-11-24T15:17:54.854782+00:00"}]', 'worker', 153907200, 161054720, 9, 0.09985486400000809, '2026-11-24 15:17:54.920027+00'),
	(2, 1, 1, 1, 1, 2, 2, 12, 1, '[{"pid": 17808, "started": "2026-11-24T15:17:55.525877+00:00"}, {"pid": 17812, "started": "2026-11-24T15:17:55.719007+00:00"}]', 'worker', 161116160, 161132544, 1, 0.19000778800000262, '2026-11-24 15:17:55.783427+00'),
	(3, 1, 1, 1, 1, 25, 25, 266, 1, '[{"pid": 17831, "started": "2026-11-24T15:17:56.144642+00:00"}, {"pid": 17843, "started": "2026-11-24T15:17:56.385806+00:00"}]', 'worker', 161124352, 161181696, 49, 0.23107811699992453, '2026-11-24 15:17:56.434366+00'),
	(4, 1, 1, 1, 1, 25, 0, 266, 1, '[]', 'host', NULL, NULL, 0, 0, '2026-11-24 15:17:56.6692+00');
INSERT INTO prediction.work_4_1 VALUES
	(15, '03bf68eb-79d2-1416-b1e5-1ac18cc6fd92', 10, '2026-11-24 15:17:55.964968+00', 1, false),
	(23, '05244571-d5b5-fcad-f886-e45be2f3eb88', 10, '2026-11-24 15:17:55.964968+00', 2, false),
	(17, '69c74bd8-e1a5-7621-5764-e98a54f77e15', 10, '2026-11-24 15:17:55.964968+00', 3, false),
	(18, '76f922ab-b7d3-5c93-5ef6-66b37fe84bca', 10, '2026-11-24 15:17:55.964968+00', 4, false),
	(22, '8a44d386-dbfe-5b5c-bc7d-6368f5596dc8', 10, '2026-11-24 15:17:55.964968+00', 5, false),
	(21, '8fd7fe8a-11ad-642c-c3f7-53823978c3fe', 10, '2026-11-24 15:17:55.964968+00', 6, false),
	(19, '901f76e5-a72e-35ae-73b5-6d9c14ce0a67', 10, '2026-11-24 15:17:55.964968+00', 7, false),
	(16, 'a66869ae-cdea-7c7f-e608-74af977f6d27', 10, '2026-11-24 15:17:55.964968+00', 8, false),
	(20, 'c50d934f-cf3d-4fc2-ec1b-4350b296b239', 10, '2026-11-24 15:17:55.964968+00', 9, false),
	(28, '02fed85c-95ff-9f54-75f8-829c08064f3b', 11, '2026-11-24 15:17:55.964968+00', 10, false),
	(37, '0b5fb830-9c2f-ae71-e2a9-77e51b70e871', 11, '2026-11-24 15:17:55.964968+00', 11, false),
	(31, '18502c2d-7b55-bbb4-afd4-6a0f5e3aa765', 11, '2026-11-24 15:17:55.964968+00', 12, false),
	(34, '188295f1-9866-f8eb-baef-f7958c98b772', 11, '2026-11-24 15:17:55.964968+00', 13, false),
	(25, '2216cb4e-e800-7cc1-c04e-da5e63011dcf', 11, '2026-11-24 15:17:55.964968+00', 14, false),
	(38, '3497b4f3-19a3-6ddb-09ec-c8804cbc7eee', 11, '2026-11-24 15:17:55.964968+00', 15, false),
	(32, '42b895c0-9f18-9cd2-4423-b147c542e26b', 11, '2026-11-24 15:17:55.964968+00', 16, false),
	(36, '6db1b845-711d-f0ab-ba9f-19d10333a862', 11, '2026-11-24 15:17:55.964968+00', 17, false),
	(30, '793a340c-dbc8-affc-9869-dbb564893654', 11, '2026-11-24 15:17:55.964968+00', 18, false),
	(33, '7c6000bf-604d-c5dc-1583-ec17e2fc171e', 11, '2026-11-24 15:17:55.964968+00', 19, false),
	(26, '9e6c5389-330e-fd3a-76a8-a9f7889d5060', 11, '2026-11-24 15:17:55.964968+00', 20, false),
	(29, 'bbcbfbca-5d28-68c9-0eab-bd7130d7b25a', 11, '2026-11-24 15:17:55.964968+00', 21, false),
	(39, 'c8215ae4-05da-fccd-bb24-90002694af9d', 11, '2026-11-24 15:17:55.964968+00', 22, false),
	(35, 'de49bacc-f763-77c8-ec8f-7cc60e2cead0', 11, '2026-11-24 15:17:55.964968+00', 23, false),
	(27, 'e97f400a-bd63-fe77-9d75-054bc83b7aa6', 11, '2026-11-24 15:17:55.964968+00', 24, false),
	(24, 'fa9f5ed2-cda8-f648-2114-8bcd1f7792ee', 11, '2026-11-24 15:17:55.964968+00', 25, false),
	(NULL, NULL, NULL, NULL, 0, false);
INSERT INTO public.message VALUES
	(2, 'message 1', NULL, '2026-11-24 15:17:54.529982+00'),
	(3, 'message 2', NULL, '2026-11-24 15:17:54.529982+00'),
	(4, 'message 3', NULL, '2026-11-24 15:17:54.529982+00'),
	(5, 'message 4', NULL, '2026-11-24 15:17:54.529982+00'),
	(6, 'message 5', NULL, '2026-11-24 15:17:54.529982+00'),
	(7, 'message 6', NULL, '2026-11-24 15:17:54.529982+00'),
	(8, 'message 7', NULL, '2026-11-24 15:17:54.529982+00'),
	(9, 'message 8', NULL, '2026-11-24 15:17:54.529982+00'),
	(10, 'message 9', NULL, '2026-11-24 15:17:54.529982+00'),
	(11, 'message 10', NULL, '2026-11-24 15:17:54.529982+00'),
	(12, 'message 11', NULL, '2026-11-24 15:17:54.529982+00'),
	(14, 'worse', NULL, '2026-11-24 15:17:54.529982+00'),
	(13, 'good', NULL, '2026-11-24 15:17:55.152908+00'),
	(1, 'edited', NULL, '2026-11-24 15:17:55.197233+00'),
	(15, 'failing 1', NULL, '2026-11-24 15:17:55.964968+00'),
	(16, 'failing 2', NULL, '2026-11-24 15:17:55.964968+00'),
	(17, 'failing 3', NULL, '2026-11-24 15:17:55.964968+00'),
	(18, 'failing 4', NULL, '2026-11-24 15:17:55.964968+00'),
	(19, 'failing 5', NULL, '2026-11-24 15:17:55.964968+00'),
	(20, 'failing 6', NULL, '2026-11-24 15:17:55.964968+00'),
	(21, 'failing 7', NULL, '2026-11-24 15:17:55.964968+00'),
	(22, 'failing 8', NULL, '2026-11-24 15:17:55.964968+00'),
	(23, 'failing 9', NULL, '2026-11-24 15:17:55.964968+00'),
	(24, 'failing 10', NULL, '2026-11-24 15:17:55.964968+00'),
	(25, 'failing 11', NULL, '2026-11-24 15:17:55.964968+00'),
	(26, 'failing 12', NULL, '2026-11-24 15:17:55.964968+00'),
	(27, 'failing 13', NULL, '2026-11-24 15:17:55.964968+00'),
	(28, 'failing 14', NULL, '2026-11-24 15:17:55.964968+00'),
	(29, 'failing 15', NULL, '2026-11-24 15:17:55.964968+00'),
	(30, 'failing 16', NULL, '2026-11-24 15:17:55.964968+00'),
	(31, 'failing 17', NULL, '2026-11-24 15:17:55.964968+00'),
	(32, 'failing 18', NULL, '2026-11-24 15:17:55.964968+00'),
	(33, 'failing 19', NULL, '2026-11-24 15:17:55.964968+00'),
	(34, 'failing 20', NULL, '2026-11-24 15:17:55.964968+00'),
	(35, 'failing 21', NULL, '2026-11-24 15:17:55.964968+00'),
	(36, 'failing 22', NULL, '2026-11-24 15:17:55.964968+00'),
	(37, 'failing 23', NULL, '2026-11-24 15:17:55.964968+00'),
	(38, 'failing 24', NULL, '2026-11-24 15:17:55.964968+00'),
	(39, 'failing 25', NULL, '2026-11-24 15:17:55.964968+00');
SELECT pg_catalog.setval('prediction.model_model_id_seq', 1, true);
SELECT pg_catalog.setval('prediction.quarantine_quarantine_id_seq', 2, true);
SELECT pg_catalog.setval('prediction.run_run_id_seq', 4, true);
SELECT pg_catalog.setval('public.message_id_seq', 39, true);
ALTER TABLE ONLY prediction.intent__blue
    ADD CONSTRAINT intent__blue_pkey PRIMARY KEY (id);
ALTER TABLE ONLY prediction.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (name);
ALTER TABLE ONLY prediction.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);
ALTER TABLE ONLY prediction.model
    ADD CONSTRAINT model_name_version_digest_key UNIQUE (name, version, digest);
ALTER TABLE ONLY prediction.model
    ADD CONSTRAINT model_pkey PRIMARY KEY (model_id);
ALTER TABLE ONLY prediction.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (quarantine_id);
ALTER TABLE ONLY prediction.run
    ADD CONSTRAINT run_job_orchestrator_external_id_key UNIQUE (job, orchestrator, external_id);
ALTER TABLE ONLY prediction.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY prediction.shard
    ADD CONSTRAINT shard_pkey PRIMARY KEY (run_id, generation, shard);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX quarantine_key ON prediction.quarantine USING btree (job, key) WHERE (state <> 'resolved'::text);
CREATE INDEX run_job ON prediction.run USING btree (job, run_id DESC);
CREATE UNIQUE INDEX run_one_open ON prediction.run USING btree (job) WHERE (state = ANY (ARRAY['planned'::text, 'predicting'::text, 'checked'::text, 'held'::text]));
CREATE UNIQUE INDEX work_4_1_ordinal_idx ON prediction.work_4_1 USING btree (ordinal) WHERE (NOT duplicate);
ALTER TABLE ONLY prediction.intent__blue
    ADD CONSTRAINT intent__blue_model_id_fkey FOREIGN KEY (model_id) REFERENCES prediction.model(model_id);
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
