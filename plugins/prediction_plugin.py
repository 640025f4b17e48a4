"""The one file that registers with Airflow's plugin loader; helpers are in the package `batch_prediction`."""

from __future__ import annotations

import os

from airflow.plugins_manager import AirflowPlugin


class PredictionPlugin(AirflowPlugin):
    """A link to the tracking server, where the model versions and the runs' reports are."""

    name = "batch_prediction"
    external_views = (
        [{"name": "MLflow", "href": os.environ["MLFLOW_TRACKING_URI"], "destination": "nav"}]
        if os.environ.get("MLFLOW_TRACKING_URI")
        else []
    )
