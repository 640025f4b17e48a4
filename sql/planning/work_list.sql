-- The work list, its shards, and the predictions whose row is gone.

-- name: limited
SELECT c.*, count(*) OVER () AS found, min(changed_at) FILTER (WHERE {shown}) OVER () AS oldest_found
FROM ({pending}) c ORDER BY {keys} LIMIT %(row_limit)s

-- name: ordinal_each
-- The key decides alone; to ask for the hash as well has it computed below the hand-over, by all workers.
row_number() OVER (ORDER BY {order}) AS ordinal, false AS duplicate

-- name: ordinal_once
-- An ordinal stands for an input: rows with equal inputs share it, and one of these rows is not a duplicate.
dense_rank() OVER (ORDER BY -cost, input_hash) AS ordinal,
row_number() OVER (PARTITION BY -cost, input_hash ORDER BY {keys}) > 1 AS duplicate

-- name: create_work
-- The rows leave the window in its order, and so lie in the order of their ordinals; to ask for that sorts them again.
CREATE UNLOGGED TABLE {work} AS
{with_candidates}
SELECT {listed_keys}, input_hash, cost, changed_at, {ordinal}{others} FROM ({pending}) c{gone};

-- name: and_gone
-- In the same statement, since two would have two snapshots: a row might be pending in one and gone in the other.
UNION ALL
SELECT {target_keys}, NULL, NULL, NULL, NULL, false{nulls} FROM {target} p
WHERE NOT EXISTS (SELECT FROM candidate c WHERE {joined})

-- name: move_gone
CREATE UNLOGGED TABLE {gone} AS SELECT {keys} FROM {work} WHERE ordinal IS NULL;
DELETE FROM {work} WHERE ordinal IS NULL;

-- name: index_work
INSERT INTO {work} (ordinal, duplicate) VALUES (0, false);
CREATE UNIQUE INDEX ON {work} (ordinal) WHERE NOT duplicate;
ANALYZE {work};

-- name: examine_work
SELECT count(*) AS rows, max(ordinal) AS inputs, count(*) AS found, min(changed_at) FILTER (WHERE {shown}) AS oldest
FROM {work} WHERE ordinal > 0;

-- name: shown
-- The oldest of the pending rows is shown to people as a date. A cursor may hold what is none in most languages.
changed_at >= '0001-01-01 UTC' AND changed_at < '9999-12-31 UTC'

-- name: examine_limited
-- Of a run with a limit, which takes the first of the rows that are pending.
SELECT count(*) AS rows, max(ordinal) AS inputs, coalesce(max(found), 0) AS found, min(oldest_found) AS oldest
FROM {work} WHERE ordinal > 0;

-- name: octets
SELECT pg_total_relation_size({name});

-- name: null_keys
-- A composite value of which some fields are NULL is one; IS NULL would say the same of all fields and of none.
SELECT count(*) AS rows FROM {work} WHERE ordinal > 0 AND num_nulls({keys}) > 0;

-- name: repeated_keys
SELECT {key_text} AS key, max(copies) AS rows, count(*) OVER () AS keys
FROM {work} w WHERE ordinal > 0 AND copies > 1 GROUP BY {keys} ORDER BY {keys} LIMIT 3;

-- name: changed
SELECT count(*) FROM {work} w JOIN {target} p ON {joined} WHERE w.ordinal > 0 AND p.input_hash <> w.input_hash;

-- name: note_kept_inputs
UPDATE prediction.run SET inputs_kept = %(kept)s WHERE run_id = %(run_id)s;

-- name: create_shards
-- A shard is a contiguous slice of the ordered work list with an equal share of the cost. The cuts lie between blocks,
-- about a hundred to a shard, so that one pass over the rows is enough.
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

-- name: count_gone
SELECT (SELECT count(*) FROM {gone}) AS gone, (SELECT count(*) FROM {target}) AS predictions;

