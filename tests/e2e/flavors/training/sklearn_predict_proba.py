"""scikit-learn with the chance of each class."""

import sys

import mlflow
from sklearn.linear_model import LogisticRegression
from tabular import rows

inputs, classes, _ = rows(gaps=False)
model = LogisticRegression().fit(inputs, classes)
signature = mlflow.models.infer_signature(inputs, model.predict_proba(inputs))
mlflow.sklearn.log_model(
    model, name="model", pyfunc_predict_fn="predict_proba", signature=signature, input_example=inputs.head(),
    registered_model_name=sys.argv[1],
)  # fmt: skip
