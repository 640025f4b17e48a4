"""A regression of statsmodels."""

import sys

import mlflow
import statsmodels.api
from tabular import rows

inputs, _, amounts = rows(gaps=False)
model = statsmodels.api.OLS(amounts, inputs).fit()
mlflow.statsmodels.log_model(model, name="model", input_example=inputs.head(), registered_model_name=sys.argv[1])
