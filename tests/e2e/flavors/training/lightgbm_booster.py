"""A booster of LightGBM, which is kept as its own text."""

import sys

import lightgbm
import mlflow
from tabular import rows

inputs, classes, _ = rows(gaps=True)
settings = {"objective": "multiclass", "num_class": 3, "verbosity": -1, "seed": 0}
model = lightgbm.train(settings, lightgbm.Dataset(inputs, classes), num_boost_round=20)
mlflow.lightgbm.log_model(model, name="model", input_example=inputs.head(), registered_model_name=sys.argv[1])
