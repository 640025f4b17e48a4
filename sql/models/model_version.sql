-- The model versions that made predictions.

-- name: find
SELECT model_id, digest, python_version, requirements, inputs, outputs, params, pickled
FROM prediction.model WHERE name = %(name)s AND version = %(version)s AND artifact = %(artifact)s;

-- name: by_run
SELECT m.model_id, m.name, m.version, m.artifact, m.mlflow_run_id, m.digest, m.python_version, m.requirements,
       m.inputs, m.outputs, m.params, m.pickled, r.image, r.image_id, r.definition
FROM prediction.run r JOIN prediction.model m USING (model_id) WHERE r.run_id = %(run_id)s;

-- name: add
INSERT INTO prediction.model
    (name, version, digest, mlflow_run_id, artifact, python_version, requirements, inputs, outputs, params, pickled)
VALUES (%(name)s, %(version)s, %(digest)s, %(mlflow_run_id)s, %(artifact)s, %(python_version)s,
        %(requirements)s, %(inputs)s, %(outputs)s, %(params)s, %(pickled)s)
ON CONFLICT (name, version, digest) DO UPDATE
    SET artifact = EXCLUDED.artifact, inputs = EXCLUDED.inputs, params = EXCLUDED.params, pickled = EXCLUDED.pickled
RETURNING model_id;
