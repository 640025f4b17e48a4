"""scikit-learn, in the format that MLflow takes by default.

With skops 0.16 a forest and a SimpleImputer are refused when they are logged, unless `skops_trusted_types` names their
types.
"""

import sys

import mlflow
from sklearn.linear_model import LogisticRegression
from tabular import rows

inputs, classes, _ = rows(gaps=False)
model = LogisticRegression().fit(inputs, classes)
mlflow.sklearn.log_model(model, name="model", input_example=inputs.head(), registered_model_name=sys.argv[1])
