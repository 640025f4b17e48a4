-- Entries of the quarantine that a search shows to be past.

-- name: unresolved
SELECT EXISTS (SELECT FROM prediction.quarantine WHERE job = %(job)s AND state <> 'resolved');

-- name: settle
-- Entries end when their row is gone (which a search of everything can say), when its present input is another one and
-- predicted, or when the row has a second entry under another text of its key, as 1 and 1.0. The others get the text
-- that the key has now.
{with_candidates} entry AS (
    SELECT quarantine_id, key, input_hash FROM prediction.quarantine WHERE job = %(job)s AND state <> 'resolved'),
found AS (
    SELECT e.quarantine_id, e.key, {key_text} AS present,
           e.input_hash IS DISTINCT FROM c.input_hash
           AND EXISTS (SELECT FROM {target} p WHERE {joined} AND p.input_hash = c.input_hash) AS predicted
    FROM entry e JOIN candidate c ON {same_key}),
judged AS (
    SELECT quarantine_id, present, predicted OR row_number() OVER (
               PARTITION BY present ORDER BY present = key DESC, quarantine_id DESC) > 1 AS ended
    FROM found
    UNION ALL
    SELECT quarantine_id, key, true FROM entry
    WHERE %(everywhere)s AND quarantine_id NOT IN (SELECT quarantine_id FROM found))
UPDATE prediction.quarantine q
SET key = CASE WHEN j.ended THEN q.key ELSE j.present END,
    state = CASE WHEN j.ended THEN 'resolved' ELSE q.state END,
    resolved_at = CASE WHEN j.ended THEN now() END
FROM judged j
WHERE q.quarantine_id = j.quarantine_id AND (j.ended OR j.present <> q.key);

-- name: key_typed
CAST(e.key[{number}] AS {type}) = {key}

-- name: key_as_text
e.key[{number}] = {key}::text
