"""scikit-learn, logged by MLflow 2.9, which knows neither `name` nor skops."""

import sys

import mlflow
from sklearn.tree import DecisionTreeRegressor
from tabular import rows

inputs, _, amounts = rows(gaps=True)
model = DecisionTreeRegressor(max_depth=5, random_state=0).fit(inputs, amounts)
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model,
        "model",
        input_example=inputs.dropna().head(),
        signature=mlflow.models.infer_signature(inputs, model.predict(inputs)),
        registered_model_name=sys.argv[1],
    )
