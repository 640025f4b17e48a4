"""Intent of a short message in any language: one label per message, with its probability.

MLflow stores this file as the model's code, beside two artifacts and no pickle: `config.json` (the
labels and the n-gram sizes) and `weights.safetensors` (idf, table, bias).

A message becomes its character n-grams, weighed by tf-idf and scaled to length 1. Each n-gram
hashes to a row of a table that holds one number per label; the weighted sum of the rows plus a bias
is the message's logits. There is no padding and no matrix product, whose rounding depends on the
number of rows: a message's answer is the same to the bit whatever batch it is in.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import mlflow.models
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from mlflow.pyfunc.model import PythonModel
from safetensors.torch import load_file
from torch.nn import functional

START, END, NEXT = "\x02", "\x03", "\n"  # of a message; NEXT is no part of any n-gram
MAX_CHARACTERS = 4000  # of a message that are read, so that one huge row cannot exhaust the memory
MULTIPLIER, SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)  # Fibonacci hashing (Knuth, 6.4)


class Ngrams(NamedTuple):
    """The n-grams of B messages, message after message."""

    buckets: npt.NDArray[np.int64]  # [sum of counts], 0 <= bucket < size of the table
    counts: npt.NDArray[np.int64]  # [B], n-grams of each message


def normalize(text: str) -> str:
    # Decomposed, so that a Korean ending that is only part of a syllable is a character of its own.
    words = unicodedata.normalize("NFD", text[:MAX_CHARACTERS]).lower().split()
    return f"{START} {' '.join(words)} {END}"


def extract_ngrams(texts: Sequence[str], longest: int, bits: int) -> Ngrams:
    """All character n-grams of 1 to `longest` characters, hashed to 2**bits buckets."""
    if not texts:
        return Ngrams(np.zeros(0, np.int64), np.zeros(0, np.int64))
    joined = NEXT.join(map(normalize, texts)) + NEXT
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    ends = codes == ord(NEXT)
    message = np.cumsum(ends) - ends
    hashed, whole = np.zeros_like(codes), np.ones_like(ends)
    buckets, messages = [], []
    for size in range(1, longest + 1):
        starts = len(codes) - size + 1
        hashed = (hashed[:starts] ^ codes[size - 1 :]) * MULTIPLIER
        hashed ^= hashed >> SHIFT
        whole = whole[:starts] & ~ends[size - 1 :]
        buckets.append(hashed[whole] >> np.uint64(64 - bits))
        messages.append(message[:starts][whole])
    owner = np.concatenate(messages)
    order = np.argsort(owner, kind="stable")  # stable: within a message always the same order
    counts = np.bincount(owner, minlength=len(texts))
    return Ngrams(np.concatenate(buckets)[order].astype(np.int64), counts.astype(np.int64))


def weigh(ngrams: Ngrams, idf: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The idf of each n-gram, scaled so that each message has Euclidean length 1."""
    weights = idf[ngrams.buckets].astype(np.float64)
    message = np.repeat(np.arange(len(ngrams.counts)), ngrams.counts)
    squares = np.bincount(message, weights**2, minlength=len(ngrams.counts))
    return (weights / np.sqrt(squares)[message]).astype(np.float32)


def sum_bags(table: torch.Tensor, ngrams: Ngrams, weights: npt.NDArray[np.float32]) -> torch.Tensor:
    """The weighted sum of the table's rows for each message: [B, columns of the table]."""
    offsets = np.concatenate([[0], np.cumsum(ngrams.counts)[:-1]])
    return functional.embedding_bag(
        torch.from_numpy(ngrams.buckets),
        table,
        torch.from_numpy(offsets),
        mode="sum",
        sparse=True,
        per_sample_weights=torch.from_numpy(weights),
    )


class IntentModel(PythonModel):
    """text (string) -> intent (string), confidence (0 to 1, the probability of that intent)."""

    def load_context(self, context: Any) -> None:
        config = json.loads(Path(context.artifacts["config"]).read_text(encoding="utf-8"))
        weights = load_file(context.artifacts["weights"])
        self.labels = np.array(config["labels"], dtype=object)
        self.longest, self.bits = config["longest"], config["bits"]
        self.idf = weights["idf"].numpy()
        self.table, self.bias = weights["table"], weights["bias"]

    # MLflow takes this short form too; its base class is typed for the long one only.
    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]
        """One row per message, in their order; ValueError if a text is NULL."""
        nulls = model_input["text"].isna().to_numpy()
        if nulls.any():
            raise ValueError(
                f"text is NULL in {nulls.sum()} of {len(nulls)} rows (first at position "
                f"{nulls.argmax()}); the intent model needs a text: leave such rows out"
            )
        texts = model_input["text"].tolist()
        if not texts:
            return pd.DataFrame({"intent": pd.Series(dtype=object), "confidence": np.zeros(0)})
        ngrams = extract_ngrams(texts, self.longest, self.bits)
        with torch.inference_mode():
            logits = sum_bags(self.table, ngrams, weigh(ngrams, self.idf)) + self.bias
            confidence, best = torch.softmax(logits.double(), dim=1).max(dim=1)
        return pd.DataFrame({"intent": self.labels[best.numpy()], "confidence": confidence.numpy()})


mlflow.models.set_model(IntentModel())
