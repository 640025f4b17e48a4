"""What the DAGs need of Airflow: parameters, connections, task bodies, notifications."""
