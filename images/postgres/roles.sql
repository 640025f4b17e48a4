-- Roles and databases, made once, when the volume is empty. Passwords come from the container's environment.
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv company_password COMPANY_DB_PASSWORD

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
-- The company owns its tables; the pipeline's roles, prediction.sql, may read those that they are granted.
CREATE ROLE company LOGIN PASSWORD :'company_password';

CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE company OWNER company;
REVOKE CONNECT ON DATABASE airflow, mlflow, company, postgres FROM PUBLIC;
