"""Trains the intent model in seconds and registers it: what a job's `model: intent` stands for.

    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python examples/intent/train.py
        [--data messages.csv] [--name intent] [--alias champion]

The CSV has the columns text and label. If it has a column split (train or test), the accuracy is
that of its test rows; otherwise a fifth of each label, drawn by a fixed seed, is held out.

In messages.csv every test row was written one by one; most train rows combine a phrase with a
topic, and some of those phrases come close to a test row. Read the accuracy as that of a demo.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from model import IntentModel, Ngrams, extract_ngrams, sum_bags, weigh
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).resolve().parent
HYPERPARAMETERS: dict[str, Any] = {
    "longest": 5,  # n-gram, in decomposed characters: a Korean syllable has two or three
    "bits": 17,  # 2**17 buckets
    "width": 64,  # of the embedding during training
    "steps": 600,
    "batch": 128,
    "dropped_ngrams": 0.5,  # share of the n-grams left out of each training message
    "dropout": 0.5,  # of the embedding
    "label_smoothing": 0.1,
    "learning_rate": 0.007,
    "seed": 0,
}
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "text")]),
    outputs=Schema([ColSpec(DataType.string, "intent"), ColSpec(DataType.double, "confidence")]),
)


def read_messages(path: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The train rows and the test rows of a CSV with columns text, label and perhaps split."""
    rows = pd.read_csv(path, keep_default_na=False)  # "null" and "NA" are messages too
    missing = {"text", "label"} - set(rows.columns)
    if missing:
        raise SystemExit(f"{path} has no column {', '.join(sorted(missing))}: add it or rename one")
    if "split" in rows.columns:
        is_test = rows["split"] == "test"
    else:
        held_out = rows.groupby("label").sample(frac=0.2, random_state=seed)
        is_test = pd.Series(rows.index.isin(held_out.index), rows.index)
    return rows[~is_test], rows[is_test]


def inverse_frequency(ngrams: Ngrams, buckets: int) -> npt.NDArray[np.float32]:
    """Smoothed idf, ln((1 + messages) / (1 + messages with the n-gram)) + 1: [buckets]."""
    message = np.repeat(np.arange(len(ngrams.counts)), ngrams.counts)
    distinct = np.unique(message * buckets + ngrams.buckets) % buckets
    holders = np.bincount(distinct, minlength=buckets)
    return (np.log((1 + len(ngrams.counts)) / (1 + holders)) + 1).astype(np.float32)


def train(texts: list[str], labels: list[str]) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """The model's config and weights, the two artifacts that IntentModel loads."""
    p = HYPERPARAMETERS
    # A step takes milliseconds: two threads wait for each other, spinning, for longer than they work.
    torch.set_num_threads(1)
    torch.manual_seed(p["seed"])
    random = np.random.default_rng(p["seed"])
    names = sorted(set(labels))
    targets = torch.tensor([names.index(label) for label in labels])
    ngrams = extract_ngrams(texts, p["longest"], p["bits"])
    idf = inverse_frequency(ngrams, 2 ** p["bits"])
    weights = weigh(ngrams, idf)
    starts = np.cumsum(ngrams.counts) - ngrams.counts

    embedding = nn.Parameter(torch.randn(2 ** p["bits"], p["width"]) * 0.1)
    classify = nn.Linear(p["width"], len(names))
    optimizers = [
        torch.optim.SparseAdam([embedding], lr=p["learning_rate"]),
        torch.optim.Adam(classify.parameters(), lr=p["learning_rate"] / 2),
    ]
    decay = [torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, p["steps"]) for o in optimizers]
    for _ in range(p["steps"]):
        rows = random.choice(len(texts), min(p["batch"], len(texts)), replace=False)
        spots = np.concatenate([np.arange(starts[r], starts[r] + ngrams.counts[r]) for r in rows])
        kept = random.random(len(spots)) >= p["dropped_ngrams"]
        owner = np.repeat(np.arange(len(rows)), ngrams.counts[rows])[kept]
        part = Ngrams(ngrams.buckets[spots[kept]], np.bincount(owner, minlength=len(rows)))
        part_weights = weights[spots[kept]] / np.float32(1 - p["dropped_ngrams"])
        bags = nn.functional.dropout(sum_bags(embedding, part, part_weights), p["dropout"])
        loss = nn.functional.cross_entropy(classify(bags), targets[rows], label_smoothing=p["label_smoothing"])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer, schedule in zip(optimizers, decay):
            optimizer.step()
            schedule.step()
    # A linear layer after a sum is a sum of linear layers: one number per n-gram and label remains.
    table = embedding.detach() @ classify.weight.detach().T
    config = {"labels": names, "longest": p["longest"], "bits": p["bits"]}
    idf_tensor = torch.from_numpy(idf)
    return config, {"idf": idf_tensor, "table": table, "bias": classify.bias.detach()}


def save(config: dict[str, object], weights: dict[str, torch.Tensor], folder: Path) -> dict[str, str]:
    """Writes the artifacts; their names and paths, as MLflow and IntentModel know them."""
    paths = {"config": folder / "config.json", "weights": folder / "weights.safetensors"}
    paths["config"].write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, paths["weights"])
    return {name: str(path) for name, path in paths.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE / "messages.csv", help="CSV: text, label")
    parser.add_argument("--name", default="intent", help="of the registered model")
    parser.add_argument("--alias", default="champion", help="to set on the new version")
    arguments = parser.parse_args()

    train_rows, test_rows = read_messages(arguments.data, HYPERPARAMETERS["seed"])
    started = time.perf_counter()
    config, weights = train(train_rows["text"].tolist(), train_rows["label"].tolist())
    seconds = time.perf_counter() - started

    mlflow.set_experiment(f"training/{arguments.name}")
    with TemporaryDirectory() as folder, mlflow.start_run():
        artifacts = save(config, weights, Path(folder))
        model = IntentModel()
        model.load_context(SimpleNamespace(artifacts=artifacts))
        right = model.predict(test_rows)["intent"].to_numpy() == test_rows["label"].to_numpy()
        accuracy = float(right.mean())
        print(
            f"accuracy {accuracy:.3f} on {len(test_rows)} held-out messages, "
            f"trained on {len(train_rows)} in {seconds:.1f} s"
        )
        mlflow.log_params({**HYPERPARAMETERS, "data": arguments.data.name, "rows": len(train_rows)})
        mlflow.log_metrics({"accuracy": accuracy, "train_seconds": seconds})
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
