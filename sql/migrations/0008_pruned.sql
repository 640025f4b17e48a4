-- What `prune` removed still counts, or Prometheus would take a smaller total for a new beginning.

CREATE TABLE prediction.pruned (
    job   text NOT NULL REFERENCES prediction.job ON DELETE CASCADE,
    state text NOT NULL,
    runs  bigint NOT NULL,
    PRIMARY KEY (job, state)
);
COMMENT ON TABLE prediction.pruned IS 'Runs that were removed for their age, by state.';

CREATE VIEW prediction.run_totals AS
SELECT job, state, sum(runs)::bigint AS runs
FROM (SELECT job, state, count(*) AS runs FROM prediction.run GROUP BY job, state
      UNION ALL SELECT job, state, runs FROM prediction.pruned) counted
GROUP BY job, state;
COMMENT ON VIEW prediction.run_totals IS 'All runs that there ever were.';
