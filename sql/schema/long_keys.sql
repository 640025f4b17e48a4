-- Keys that are too long for the primary key of a job's table.

-- name: vary
SELECT EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = to_regclass(%(work)s) AND attname ~ '^key[0-9]+$' AND attlen = -1);

-- name: long
SELECT CAST(w.ctid AS text) FROM {work} w LEFT JOIN {result} r ON r.ordinal = w.ordinal
WHERE w.ordinal > 0 AND {size} > 2000 AND {fate} IN ('predicted', 'reused');

-- name: create_probe
CREATE TEMPORARY TABLE long_key ON COMMIT DROP AS SELECT {keys} FROM {work} LIMIT 0;
ALTER TABLE pg_temp.long_key ADD PRIMARY KEY ({keys});

-- name: probe
INSERT INTO pg_temp.long_key SELECT {keys} FROM {work} WHERE ctid = ANY (CAST(%(places)s AS tid[]));

-- name: set_aside
-- The row gets an ordinal of its own: others may share the one that it has.
WITH moved AS (
    UPDATE {work} SET ordinal = (SELECT max(ordinal) + 1 FROM {work}), duplicate = false
    WHERE ctid = CAST(%(place)s AS tid) RETURNING ordinal, input_hash)
INSERT INTO {result} (ordinal, outcome, input_hash, error, message)
SELECT ordinal, 'quarantined', input_hash, 'KeyTooLong', %(message)s FROM moved;
