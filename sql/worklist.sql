-- The work list, its shards, and the predictions whose row is gone.

-- name: limited
{pending} ORDER BY {keys} LIMIT %(row_limit)s

-- The key decides alone; to ask for the hash as well has it computed below the hand-over, by all workers.
-- name: ordinal_each
row_number() OVER (ORDER BY {order}) AS ordinal, false AS duplicate

-- name: ordinal_once
dense_rank() OVER (ORDER BY -cost, input_hash) AS ordinal,
row_number() OVER (PARTITION BY -cost, input_hash ORDER BY {keys}) > 1 AS duplicate

-- The rows leave the window in its order, and so lie in the order of their ordinals; to ask for that sorts them again.
-- name: create_work
CREATE UNLOGGED TABLE {work} AS
SELECT {keys}, input_hash, cost, changed_at, {ordinal} FROM ({pending}) c;

-- name: index_work
INSERT INTO {work} (ordinal, duplicate) VALUES (0, false);
CREATE UNIQUE INDEX ON {work} (ordinal) WHERE NOT duplicate;
ANALYZE {work};

-- name: examine_work
SELECT count(*) AS rows, max(ordinal) AS inputs, min(changed_at) AS oldest FROM {work} WHERE ordinal > 0;

-- name: null_keys
SELECT count(*) AS rows FROM {work} WHERE ordinal > 0 AND ({any_null});

-- name: repeated_keys
SELECT {key_text} AS key, count(*) AS rows, count(*) OVER () AS keys
FROM {work} w WHERE ordinal > 0 GROUP BY {keys} HAVING count(*) > 1 ORDER BY {keys} LIMIT 3;

-- Cut between blocks, a hundred to a shard, so that one pass over the rows is enough.
-- name: create_shards
INSERT INTO prediction.shard (run_id, generation, shard, model_id, first_ordinal, last_ordinal, cursor, cost)
SELECT %(run_id)s, %(generation)s, row_number() OVER (ORDER BY slice), %(model_id)s, min(first), max(last),
       min(first) - 1, sum(cost)
FROM (
    SELECT first, last, cost,
           floor((sum(cost) OVER (ORDER BY first) - cost / 2) / sum(cost) OVER () * %(shards)s) AS slice
    FROM (
        SELECT min(ordinal) AS first, max(ordinal) AS last, sum(cost) AS cost
        FROM {work} WHERE ordinal > 0 AND NOT duplicate
        GROUP BY ordinal / greatest(%(inputs)s / (%(shards)s * 100), 1)) block) sliced
GROUP BY slice
RETURNING shard;

-- name: create_gone
CREATE UNLOGGED TABLE {gone} AS
SELECT {keys} FROM {target} p
WHERE NOT EXISTS (SELECT FROM {candidates} c WHERE {joined});

-- name: count_gone
SELECT (SELECT count(*) FROM {gone}) AS gone, (SELECT count(*) FROM {target}) AS predictions;

