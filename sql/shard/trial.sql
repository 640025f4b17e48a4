-- Finding the row that a model's process died on.

-- name: note
UPDATE prediction.shard SET trying = int8range(%(first)s, %(last)s, '[]')
WHERE run_id = %(run_id)s AND generation = %(generation)s AND shard = %(shard)s AND attempt = %(attempt)s;
