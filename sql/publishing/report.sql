-- What a run did, for MLflow.

-- name: run
SELECT r.run_id, r.job, r.state, r.message, r.report, r.orchestrator, r.external_id, r.request->>'mode' AS mode,
       m.name AS model, m.version, m.digest, m.mlflow_run_id, r.sweep,
       r.planned, r.predicted, r.reused, r.quarantined, r.vanished, r.deferred, r.changed_at_read, r.deleted,
       r.timings,
       (SELECT count(*) FROM prediction.shard s
        WHERE s.run_id = r.run_id AND s.generation = r.generation) AS shards,
       (SELECT coalesce(sum(s.calls), 0) FROM prediction.shard s
        WHERE s.run_id = r.run_id AND s.generation = r.generation) AS calls,
       (SELECT coalesce(max(s.peak_memory), 0) FROM prediction.shard s
        WHERE s.run_id = r.run_id AND s.generation = r.generation) AS peak_memory
FROM prediction.run r JOIN prediction.model m USING (model_id) WHERE r.run_id = %(run_id)s;

-- name: reported
UPDATE prediction.run SET report = %(report)s WHERE run_id = %(run_id)s;
