-- Which images are needed.

-- name: needed
-- The live and the previous version of each model in each job, and those of open runs.
SELECT name, version
FROM (SELECT m.name, CAST(m.version AS integer) AS version,
             row_number() OVER (PARTITION BY r.job, m.name ORDER BY max(r.run_id) DESC) AS place
      FROM prediction.run r JOIN prediction.model m USING (model_id)
      WHERE r.state = 'published' GROUP BY r.job, m.name, m.version) published
WHERE place <= 2
UNION
SELECT m.name, CAST(m.version AS integer)
FROM prediction.run r JOIN prediction.model m USING (model_id)
WHERE r.state IN ('planned', 'predicting', 'checked', 'held');
