"""MiniLM-L6 with a linear head, as MLflow stores it: this file, the encoder's folder and `head.safetensors`.

It scores what it is given in one piece, padded to the longest text: sorting and cutting is its caller's work. The
encoder is written out here (https://arxiv.org/abs/1810.04805, section 3): to import a library for it takes longer than
to import torch, for each process of each contestant.
"""

from __future__ import annotations

import json
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
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        folder = Path(context.artifacts["encoder"])
        config = json.loads((folder / "config.json").read_text())
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.epsilon = config["layer_norm_eps"]
        self.weights = load_file(folder / "model.safetensors")
        for values in self.weights.values():
            values.sum()  # the file is mapped: its pages are read now, and not while the first batches wait for them
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
            states = self._encode(torch.tensor([one.ids for one in encoded]), mask)
            weights = mask.unsqueeze(-1).to(states.dtype)
            means = (states * weights).sum(1) / weights.sum(1)
            best = (means @ self.head.T).softmax(1).max(1)
        return pd.DataFrame({"intent": best.indices.numpy(), "confidence": best.values.numpy()})

    def _encode(self, ids: Any, mask: Any) -> Any:
        """ids and mask: texts x tokens, long. Returns texts x tokens x width, float."""
        from torch.nn.functional import gelu, scaled_dot_product_attention

        words = self.weights["embeddings.word_embeddings.weight"][ids]
        places = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        states = self._norm("embeddings", words + places + self.weights["embeddings.token_type_embeddings.weight"][0])
        seen = None if mask.all() else mask[:, None, None, :].bool()
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                self._linear(f"{layer}.attention.self.{part}", states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            found = scaled_dot_product_attention(query, key, value, seen).transpose(1, 2).flatten(2)
            states = self._norm(
                f"{layer}.attention.output", states + self._linear(f"{layer}.attention.output.dense", found)
            )
            inner = gelu(self._linear(f"{layer}.intermediate.dense", states))
            states = self._norm(f"{layer}.output", states + self._linear(f"{layer}.output.dense", inner))
        return states

    def _linear(self, name: str, values: Any) -> Any:
        from torch.nn.functional import linear

        return linear(values, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, values: Any) -> Any:
        from torch.nn.functional import layer_norm

        weight, bias = (self.weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(values, weight.shape, weight, bias, self.epsilon)


mlflow.models.set_model(MiniLm())
