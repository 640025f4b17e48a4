"""`make demo`: a company with messages, two models, Airflow, MLflow and PostgreSQL."""
