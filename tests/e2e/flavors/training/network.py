"""A small network, the same for each way to log it."""

from __future__ import annotations

import numpy as np
import torch

EXAMPLE = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)


def network() -> torch.nn.Module:
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()


def answer() -> np.ndarray:
    with torch.inference_mode():
        return network()(torch.from_numpy(EXAMPLE)).numpy()
