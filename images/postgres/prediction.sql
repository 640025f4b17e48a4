-- The pipeline's roles in the database `company`, and their passwords from the container's environment. Runs after
-- roles.sql when the volume is empty; by hand (docs/operations.md) for an older volume, or after a change of a password.
\getenv owner PREDICTION_OWNER_DB_PASSWORD
\getenv planner PREDICTION_PLANNER_DB_PASSWORD
\getenv predictor PREDICTION_PREDICTOR_DB_PASSWORD
\getenv reader PREDICTION_READER_DB_PASSWORD
\connect company
\i /sql/roles.sql
ALTER ROLE prediction_owner PASSWORD :'owner';
ALTER ROLE prediction_planner PASSWORD :'planner';
ALTER ROLE prediction_predictor PASSWORD :'predictor';
ALTER ROLE prediction_reader PASSWORD :'reader';
