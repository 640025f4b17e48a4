"""The stub model: its files as MLflow keeps them, and its arithmetic.

It gives back what it was given beside its answer, so that the oracle can tell which input a prediction was made from.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pandas as pd

POISON = 666  # an amount that it refuses
DELAY = 0.003  # seconds of a call
TEXT = (
    [("text", "string"), ("amount", "long")],
    [("seen_text", "string"), ("seen_amount", "long"), ("digest", "string")],
)
NUMBERS = (
    [("amount", "{amount}"), ("price", "double")],
    [("seen_amount", "{amount}"), ("seen_price", "double"), ("score", "double")],
)
TYPES = {"bigint": "long", "double precision": "double"}


class Stub:
    def __init__(self, version: int) -> None:
        self._version = version

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        time.sleep(DELAY)
        amounts = data["amount"].to_numpy()
        if (amounts == POISON).any():
            raise ValueError(f"{POISON} cannot be scored")
        if "price" in data:
            price = data["price"].to_numpy()
            score = amounts * self._version + price
            return pd.DataFrame({"seen_amount": amounts, "seen_price": price, "score": score})
        digests = [
            hashlib.sha256(f"{self._version}/{text}/{amount}".encode()).hexdigest()
            for text, amount in zip(data["text"], amounts)
        ]
        return pd.DataFrame({"seen_text": data["text"], "seen_amount": amounts, "digest": digests})


def write_files(folder: Path, version: int, numbers: bool, amount: str) -> None:
    """What MLflow would have logged."""
    folder.mkdir(parents=True)
    inputs, outputs = NUMBERS if numbers else TEXT
    sides = {"inputs": inputs, "outputs": outputs}
    signature = {
        side: json.dumps(
            [{"name": name, "type": kind.format(amount=TYPES[amount]), "required": True} for name, kind in columns]
        )
        for side, columns in sides.items()
    }
    content = {"flavors": {"python_function": {"loader_module": "stub"}}, "signature": signature}
    (folder / "MLmodel").write_text(json.dumps(content))
    (folder / "python_env.yaml").write_text("python: 3.11.7\n")
    (folder / "requirements.txt").write_text("pandas\n")
    (folder / "version").write_text(str(version))


def load(folder: Path) -> Stub:
    return Stub(int((folder / "version").read_text()))
