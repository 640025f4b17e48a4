"""CatBoost's own format."""

import sys

import mlflow
from catboost import CatBoostRegressor
from tabular import rows

inputs, _, amounts = rows(gaps=True)
model = CatBoostRegressor(iterations=20, random_seed=0, verbose=False, allow_writing_files=False)
model.fit(inputs, amounts)
mlflow.catboost.log_model(model, name="model", input_example=inputs.head(), registered_model_name=sys.argv[1])
