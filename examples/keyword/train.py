"""Trains the keyword model in seconds and registers it, in an environment of its own:

    uv venv --seed --python 3.11 .venv-keyword
    uv pip install --python .venv-keyword/bin/python -r examples/keyword/requirements.txt
    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 .venv-keyword/bin/python examples/keyword/train.py
        [--data messages.csv] [--name keyword] [--alias champion]

--seed adds pip, whose version MLflow records with the model.

The CSV has the columns text and keyphrase (the words of the key phrase, as they occur in the text).
Every fifth message, drawn by a fixed seed, is held out to measure

- recall_at_5: share of the key phrases' words among the words of the at most 5 keywords
- precision: share of the keywords' words that belong to the key phrase
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array
from model import KeywordModel, hash_features, split_words
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).resolve().parent
HYPERPARAMETERS: dict[str, Any] = {"C": 30.0, "held_out": 0.2, "seed": 0}
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text")]),
    outputs=Schema(
        [
            ColSpec(Array(DataType.string), "keywords"),
            ColSpec(Array(DataType.double), "scores"),
        ]
    ),
)


def read_messages(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The train rows and the test rows of a CSV with columns text and keyphrase."""
    rows = pd.read_csv(path, keep_default_na=False)  # "null" and "NA" are messages too
    missing = {"text", "keyphrase"} - set(rows.columns)
    if missing:
        raise SystemExit(f"{path} has no column {', '.join(sorted(missing))}: add it or rename one")
    test = rows.sample(frac=HYPERPARAMETERS["held_out"], random_state=HYPERPARAMETERS["seed"])
    return rows.drop(test.index), test


def in_phrase(word: str, keyphrase: str) -> bool:
    """Whether the key phrase has this word, or one of two letters or more that begins it.

    재설정하려는데 counts as 재설정: the key phrase is written without endings.
    """
    word = word.lower()
    return any(
        word == gold or (len(gold) > 1 and word.startswith(gold))
        for gold in (found.text.lower() for found in split_words(keyphrase))
    )


def train(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The regression's weights, which KeywordModel loads."""
    messages = [split_words(text) for text in rows["text"]]
    words = [word for message in messages for word in message]
    targets = [
        in_phrase(word.text, keyphrase) for message, keyphrase in zip(messages, rows["keyphrase"]) for word in message
    ]
    regression = LogisticRegression(C=HYPERPARAMETERS["C"], solver="liblinear", random_state=HYPERPARAMETERS["seed"])
    regression.fit(hash_features(words), targets)
    return {"coef": regression.coef_, "intercept": regression.intercept_}


def measure(model: KeywordModel, rows: pd.DataFrame) -> dict[str, float]:
    """recall_at_5 and precision over the words of all rows."""
    found = wanted = given = 0
    for keyphrase, keywords in zip(rows["keyphrase"], model.predict(rows)["keywords"]):
        words = [word for keyword in keywords for word in keyword.split()]
        gold = [word.text.lower() for word in split_words(keyphrase)]
        found += sum(any(in_phrase(word, one) for word in words) for one in gold)
        wanted += len(gold)
        given += len(words)
    return {"recall_at_5": found / max(wanted, 1), "precision": found / max(given, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE / "messages.csv", help="CSV: text, keyphrase")
    parser.add_argument("--name", default="keyword", help="of the registered model")
    parser.add_argument("--alias", default="champion", help="to set on the new version")
    arguments = parser.parse_args()

    train_rows, test_rows = read_messages(arguments.data)
    started = time.perf_counter()
    weights = train(train_rows)
    seconds = time.perf_counter() - started

    mlflow.set_experiment(f"training/{arguments.name}")
    with TemporaryDirectory() as folder, mlflow.start_run():
        artifacts = {"weights": str(Path(folder, "weights.safetensors"))}
        save_file(weights, artifacts["weights"])
        model = KeywordModel()
        model.load_context(SimpleNamespace(artifacts=artifacts))
        metrics = measure(model, test_rows)
        print(
            f"recall@5 {metrics['recall_at_5']:.3f}, precision {metrics['precision']:.3f} on "
            f"{len(test_rows)} held-out messages, trained on {len(train_rows)} in {seconds:.1f} s"
        )
        mlflow.log_params({**HYPERPARAMETERS, "data": arguments.data.name, "rows": len(train_rows)})
        mlflow.log_metrics({**metrics, "train_seconds": seconds})
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(HERE / "model.py"),
            artifacts=artifacts,
            signature=SIGNATURE,
            input_example=train_rows[["text"]].head(2),
            pip_requirements=str(HERE / "requirements.txt"),
            registered_model_name=arguments.name,
        )
    version = info.registered_model_version
    mlflow.MlflowClient().set_registered_model_alias(arguments.name, arguments.alias, str(version))
    print(f"registered {arguments.name} version {version}, alias {arguments.alias}")


if __name__ == "__main__":
    main()
