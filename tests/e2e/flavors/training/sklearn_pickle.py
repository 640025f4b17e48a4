"""scikit-learn as a pickle, with labels of text."""

import sys

import mlflow
from sklearn.ensemble import HistGradientBoostingClassifier
from tabular import rows

inputs, classes, _ = rows(gaps=True)
labels = classes.map({0: "low", 1: "middle", 2: "high"})
model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(inputs, labels)
mlflow.sklearn.log_model(
    model, name="model", serialization_format="cloudpickle", input_example=inputs.head(),
    registered_model_name=sys.argv[1],
)  # fmt: skip
