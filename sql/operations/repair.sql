-- What runs that are over have left.

-- name: leftovers
-- A stray is of a run that nothing is known of: a backup from before it was restored.
SELECT t.name, t.run_id IS NOT NULL AND r.run_id IS NULL AS stray
FROM (SELECT relname::text AS name, substring(relname FROM '^(?:work|result|gone)_([0-9]+)_[0-9]+$')::bigint AS run_id,
             substring(relname FROM '_([0-9]+)$') AS generation
      FROM pg_class WHERE relnamespace = 'prediction_work'::regnamespace AND relkind = 'r') t
LEFT JOIN prediction.run r USING (run_id)
WHERE t.run_id IS NOT NULL
  AND (r.run_id IS NULL OR r.state NOT IN ('planned', 'predicting', 'checked', 'held')
       OR r.generation::text <> t.generation)
ORDER BY t.name;
