"""MiniLM-L6 with a linear head, as MLflow stores it: this file, the encoder's folder and `head.safetensors`.

It scores what it is given in one piece, padded to the longest text: sorting and cutting is its caller's work.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

TOKENS = 256  # of a text at most; the rest is cut off


class MiniLm(PythonModel):
    """text (string) -> intent (long), confidence (float)."""

    def load_context(self, context: Any) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertModel

        folder = Path(context.artifacts["encoder"])
        self.encoder = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
        self.head = load_file(context.artifacts["head"])["weight"]
        self.counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.counter.no_padding()
        self.counter.enable_truncation(TOKENS)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_padding()
        self.tokenizer.enable_truncation(TOKENS)

    def costs(self, model_input: pd.DataFrame) -> np.ndarray:
        """Tokens of each text."""
        return np.array([len(one.ids) for one in self.counter.encode_batch_fast(list(model_input["text"]))])

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]
        import torch

        encoded = self.tokenizer.encode_batch_fast(list(model_input["text"]))
        mask = torch.tensor([one.attention_mask for one in encoded])
        with torch.inference_mode():
            states = self.encoder(torch.tensor([one.ids for one in encoded]), mask).last_hidden_state
            weights = mask.unsqueeze(-1).to(states.dtype)
            means = (states * weights).sum(1) / weights.sum(1)
            best = (means @ self.head.T).softmax(1).max(1)
        return pd.DataFrame({"intent": best.indices.numpy(), "confidence": best.values.numpy()})


mlflow.models.set_model(MiniLm())
