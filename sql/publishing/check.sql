-- What became of every planned row, counted over the rows themselves.

-- name: unfinished
SELECT shard, cursor, last_ordinal FROM prediction.shard
WHERE run_id = %(run_id)s AND generation = %(generation)s AND cursor < last_ordinal ORDER BY shard;

-- name: there
SELECT to_regclass(%(work_name)s) IS NOT NULL AND to_regclass(%(result_name)s) IS NOT NULL;

-- name: sentinels
SELECT EXISTS (SELECT FROM {work} WHERE ordinal = 0 AND NOT duplicate) AND EXISTS (SELECT FROM {result} WHERE ordinal = 0);

-- name: coverage
SELECT count(*) AS rows,
       count(*) FILTER (WHERE fate = 'predicted') AS predicted,
       count(*) FILTER (WHERE fate = 'reused') AS reused,
       count(*) FILTER (WHERE fate = 'quarantined') AS quarantined,
       count(*) FILTER (WHERE fate = 'vanished') AS vanished,
       count(*) FILTER (WHERE fate = 'deferred') AS deferred,
       count(*) FILTER (WHERE fate = 'predicted' AND changed) AS changed_at_read
FROM (
    SELECT {fate} AS fate, r.input_hash IS DISTINCT FROM w.input_hash AS changed
    FROM {work} w LEFT JOIN {result} r ON r.ordinal = w.ordinal WHERE w.ordinal > 0) fates;

-- name: common_error
-- Other messages may quote rows, and this one is logged.
SELECT error || CASE error WHEN 'BadShape' THEN ' (' || message || ')' ELSE '' END FROM {result}
WHERE outcome = 'quarantined' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1;

-- name: outputs
SELECT {counts} FROM {result} WHERE outcome = 'predicted';

-- name: count_nulls
count(*) FILTER (WHERE {column} IS NULL)

-- name: count_nulls_and_nans
count(*) FILTER (WHERE {column} IS NULL OR {column} = 'NaN')

-- name: count_below
-- NaN is greater than every number here, and counted as a NULL already.
count(*) FILTER (WHERE {column} < %(min_{number})s)

-- name: count_above
count(*) FILTER (WHERE {column} > %(max_{number})s AND {column}::double precision <> 'NaN')

-- name: count_other
count(*) FILTER (WHERE {column}::text <> ALL (%(values_{number})s::text[]))

-- name: sample
SELECT {keys} AS key, to_jsonb(r) - '{{ordinal,outcome,input_hash,error,message}}'::text[] AS outputs
FROM {work} w JOIN {result} r ON r.ordinal = w.ordinal
WHERE r.outcome = 'predicted' ORDER BY w.ordinal LIMIT 10;

-- name: record
UPDATE prediction.run
SET state = %(state)s, message = %(message)s, heartbeat = clock_timestamp(),
    predicted = %(predicted)s, reused = %(reused)s, quarantined = %(quarantined)s, vanished = %(vanished)s,
    deferred = %(deferred)s, changed_at_read = %(changed_at_read)s,
    timings = timings || jsonb_build_object('check', %(seconds)s, 'predict', (
        SELECT coalesce(sum(s.seconds), 0) FROM prediction.shard s
        WHERE s.run_id = prediction.run.run_id AND s.generation = prediction.run.generation)),
    finished_at = CASE WHEN %(state)s IN ('checked', 'held') THEN NULL ELSE clock_timestamp() END
WHERE run_id = %(run_id)s;

-- name: pace
SELECT run_id, predicted::float8 / nullif((timings->>'predict')::float8, 0) AS rate
FROM prediction.run WHERE job = %(job)s AND state = 'published' AND predicted > 0 ORDER BY run_id DESC LIMIT 1;
