-- With a run every few minutes, most are `empty`: the latest published one and the counts by state come from the index.
CREATE INDEX run_job_state ON prediction.run (job, state, run_id DESC) INCLUDE (model_id);
