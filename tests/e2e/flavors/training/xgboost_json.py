"""XGBoost's own format."""

import sys

import mlflow
import xgboost
from tabular import rows

inputs, _, amounts = rows(gaps=True)
model = xgboost.XGBRegressor(n_estimators=20, random_state=0).fit(inputs, amounts)
mlflow.xgboost.log_model(
    model, name="model", model_format="json", input_example=inputs.head(), registered_model_name=sys.argv[1]
)
