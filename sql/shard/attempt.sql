-- The progress of one shard. Whoever holds the latest attempt may move the cursor, and nobody else.

-- name: run
SELECT r.job, r.state, r.generation, r.definition, r.dense, r.inputs_kept, m.digest, m.inputs, m.outputs, m.params,
       coalesce(r.definition #>> '{{timeouts,page}}', '5min') AS page_timeout,
       extract(epoch FROM CAST(coalesce(r.definition #>> '{{timeouts,batch}}', '10min') AS interval))::float8
           AS batch_seconds
FROM prediction.run r JOIN prediction.model m USING (model_id) WHERE r.run_id = %(run_id)s;

-- name: terminate
-- Sessions of earlier attempts: a stopped one would keep its locks for ever.
SELECT count(pg_terminate_backend(a.pid))
FROM prediction.shard s
CROSS JOIN LATERAL jsonb_to_recordset(s.backends) AS b (pid integer, started timestamptz, name text)
JOIN pg_stat_activity a ON a.pid = b.pid AND a.backend_start = b.started AND a.application_name = b.name
WHERE s.run_id = %(run_id)s AND s.generation = %(generation)s AND s.shard = %(shard)s AND a.pid <> pg_backend_pid();

-- name: begin
UPDATE prediction.shard
SET attempt = attempt + 1, backends = '[]', host = %(host)s, heartbeat = clock_timestamp(), host_class = %(host_class)s,
    batch_size = coalesce(batch_size, %(batch_rows)s), trying = NULL
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s
RETURNING attempt, first_ordinal, last_ordinal, cursor, batch_size, memory_kills, model_id, deaths, culprits,
          coalesce(lower(apart), 0) AS apart_from, coalesce(upper(apart), 0) AS apart_to;

-- name: known_batch_size
-- The shard with the most rows of the latest run says most.
SELECT batch_size FROM prediction.shard
WHERE model_id = %(model_id)s AND host_class = %(host_class)s AND batch_size IS NOT NULL AND deaths = 0
ORDER BY run_id DESC, last_ordinal - first_ordinal DESC LIMIT 1;

-- name: predicting
-- A run that failed goes on when one of its shards is started again, unless its work tables are gone (it was discarded,
-- or a later plan cleared up) or another run has begun since.
UPDATE prediction.run r SET state = 'predicting', finished_at = NULL
WHERE r.run_id = %(run_id)s AND r.generation = %(generation)s AND r.state IN ('planned', 'predicting', 'failed')
  AND to_regclass(%(work)s) IS NOT NULL AND to_regclass(%(result)s) IS NOT NULL
  AND NOT EXISTS (SELECT FROM prediction.run o
                  WHERE o.job = r.job AND o.run_id <> r.run_id
                    AND o.state IN ('planned', 'predicting', 'checked', 'held'));

-- name: sentinel
-- A crash of Postgres empties the work list, and its first row with it.
SELECT EXISTS (SELECT FROM {work} WHERE ordinal = 0 AND NOT duplicate);

-- name: register
UPDATE prediction.shard
SET backends = backends || (
    SELECT jsonb_build_array(jsonb_build_object(
        'pid', pid, 'started', backend_start, 'name', set_config('application_name', %(name)s, false)))
    FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s AND attempt = %(attempt)s;

-- name: forget
-- Of a session that ends by itself.
UPDATE prediction.shard
SET backends = (SELECT coalesce(jsonb_agg(b), '[]') FROM jsonb_array_elements(backends) b
                WHERE CAST(b ->> 'pid' AS integer) <> pg_backend_pid())
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s AND attempt = %(attempt)s;

-- name: position
SELECT cursor, attempt FROM prediction.shard
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s;

-- name: alive
UPDATE prediction.shard SET heartbeat = clock_timestamp()
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s AND attempt = %(attempt)s;

-- name: copy_predicted
COPY {result} (ordinal, outcome, input_hash, {outputs}) FROM STDIN;

-- name: copy_numbers
-- Outputs that all have a fixed size and no NULL.
COPY {result} (ordinal, outcome, input_hash, {outputs}) FROM STDIN (FORMAT binary);

-- name: copy_lost
-- Rows that are gone or in quarantine.
COPY {result} (ordinal, outcome, input_hash, error, message) FROM STDIN;

-- name: advance
UPDATE prediction.shard s
SET cursor = %(to)s, heartbeat = clock_timestamp(), calls = s.calls + %(calls)s, seconds = s.seconds + %(seconds)s,
    held_memory = %(held)s, peak_memory = greatest(s.peak_memory, %(peak)s), batch_size = %(batch)s
WHERE s.run_id = %(run_id)s AND s.generation = %(generation)s AND s.shard = %(shard)s
  AND s.attempt = %(attempt)s AND s.cursor = %(from)s
  AND EXISTS (SELECT FROM prediction.run r
              WHERE r.run_id = s.run_id AND r.generation = s.generation AND r.state = 'predicting');
