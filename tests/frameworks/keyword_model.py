"""Key phrases in torch, written so that PyTorch 1.10 and Python 3.9 run it: the words of a message that matter, best
first, each with its chance. MLflow stores this file as the model's code, beside `weights.safetensors`.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, List

import mlflow.models
import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel
from safetensors.torch import load_file
from torch.nn import functional

BITS = 14
WORD = re.compile(r"\w+")


def features(word: str) -> List[int]:
    """Buckets of the word, its beginnings and its ends."""
    cut = [f"<{word}>", *(f"<{word[:n]}" for n in (1, 2, 3)), *(f"{word[-n:]}>" for n in (1, 2, 3))]
    return [zlib.crc32(part.encode()) >> (32 - BITS) for part in cut]


def logits(table: torch.Tensor, words: List[str]) -> torch.Tensor:
    """One number for each word: [W]. `table`: [2**BITS, 1]."""
    buckets = torch.tensor([features(word.lower()) for word in words])
    return functional.embedding_bag(buckets, table, mode="sum")[:, 0]


def train(texts: List[str], phrases: List[str]) -> torch.Tensor:
    """A table by logistic regression: does a word of the text stand in its key phrase?"""
    pairs = [(word, word in phrase) for text, phrase in zip(texts, phrases) for word in WORD.findall(text)]
    words, targets = [word for word, _ in pairs], torch.tensor([float(belongs) for _, belongs in pairs])
    table = torch.zeros(2**BITS, 1, requires_grad=True)
    optimizer = torch.optim.Adam([table], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(logits(table, words), targets).backward()
        optimizer.step()
    return table.detach()


class KeywordModel(PythonModel):
    """text (string) -> keywords (strings, best first), scores (0 to 1, as many)."""

    def load_context(self, context: Any) -> None:
        self.table = load_file(context.artifacts["weights"])["table"]

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        found = [self._keywords(WORD.findall(text)) for text in model_input["text"]]
        return pd.DataFrame({"keywords": [list(one) for one in found], "scores": [list(one.values()) for one in found]})

    def _keywords(self, words: List[str]) -> dict[str, float]:
        if not words:
            return {}
        with torch.inference_mode():
            chances = torch.sigmoid(logits(self.table, words)).numpy().astype(np.float64)
        best = sorted(zip(words, chances.tolist()), key=lambda pair: -pair[1])
        return {word: chance for word, chance in best if chance > 0.5}


mlflow.models.set_model(KeywordModel())
