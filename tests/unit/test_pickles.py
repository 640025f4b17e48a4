"""What counts as a pickle: a flavour that unpickles, and a file that is one under whatever name (F16)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from inference.base import pickles

CODE = {"loader_module": "mlflow.pyfunc.model", "model_code_path": "model.py", "python_model": "model.py"}


def saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/version", "3")
        archive.writestr(name, content)
    return stream.getvalue()


PICKLE = pickle.dumps({"weights": [1, 2]})
FILES = {
    **{f"protocol {number}": (pickle.dumps([1], number), True) for number in range(2, 6)},
    "zlib": (zlib.compress(PICKLE), True),
    "gzip": (gzip.compress(PICKLE), True),
    "bz2": (bz2.compress(PICKLE), True),
    "xz": (lzma.compress(PICKLE), True),
    "old torch.save": (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + PICKLE, True),
    "torch.save": (zipped("archive/data.pkl", b""), True),
    "a zip with a pickle of another name": (zipped("archive/data", PICKLE), True),
    "a zip with objects of NumPy": (zipped("x.npy", saved(np.array([{}]))), True),
    "objects of NumPy": (saved(np.array([{"a": 1}, None])), True),
    "records with objects": (saved(np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")])), True),
    "numbers of NumPy": (saved(np.arange(3.0)), False),
    "records of NumPy": (saved(np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])), False),
    "arrays of NumPy": (zipped("x.npy", saved(np.arange(3))), False),
    "safetensors": ((0x0480).to_bytes(8, "little") + b'{"w":{}}'.ljust(0x480), False),
    "text": (b"print('hello')\n", False),
    "compressed text": (gzip.compress(b"a,b\n1,2\n"), False),
    "text that begins like zlib": (b"x = 1\n", False),
    "JSON": (b'{"a": 1}', False),
    "nothing": (b"", False),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_judged_by_its_content(tmp_path: Path, name: str) -> None:
    content, pickled = FILES[name]
    (tmp_path / "model.py").write_text("")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "weights").write_bytes(content)

    assert pickles.found(tmp_path, {"python_function": CODE}) is pickled


@pytest.mark.parametrize(
    ("file", "pickled"),
    [("m.pkl", True), ("m.PKL", True), ("m.pt2", True), ("m.bin", True), ("m.skops", True), ("m.npy", False),
     ("m.safetensors", False), ("m.json", False)],
)  # fmt: skip
def test_a_file_is_judged_by_its_name(tmp_path: Path, file: str, pickled: bool) -> None:
    (tmp_path / file).write_bytes(saved(np.arange(3)))

    assert pickles.found(tmp_path, {"python_function": CODE}) is pickled


@pytest.mark.parametrize(
    ("flavors", "pickled"),
    [
        ({"python_function": CODE}, False),
        ({"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "weights"}}, True),
        ({"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "model.py"}}, True),
        ({"python_function": {"loader_module": "mlflow.statsmodels", "data": "model.statsmodels"}}, True),
        ({"python_function": {"loader_module": "mlflow.pmdarima", "data": "model.pmd"}}, True),
        ({"python_function": {"loader_module": "mlflow.pytorch", "data": "data"}}, True),
        ({"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {"serialization_format": "skops"}}, True),
        ({"python_function": {"loader_module": "mlflow.lightgbm"},
          "lightgbm": {"model_class": "lightgbm.sklearn.LGBMClassifier"}}, True),
        ({"python_function": {"loader_module": "mlflow.lightgbm"},
          "lightgbm": {"model_class": "lightgbm.basic.Booster"}}, False),
        ({"python_function": {"loader_module": "mlflow.xgboost"},
          "xgboost": {"model_class": "xgboost.sklearn.XGBClassifier"}}, False),
        ({"python_function": {"loader_module": "mlflow.onnx"}}, False),
        ({"python_function": {"loader_module": "my_loader", "code": "code"}}, False),
    ],
)  # fmt: skip
def test_a_flavour_is_judged_by_how_it_loads(tmp_path: Path, flavors: dict[str, Any], pickled: bool) -> None:
    (tmp_path / "model").write_text("1")

    assert pickles.found(tmp_path, flavors) is pickled


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.parametrize("form", ["pickle", "cloudpickle", "skops"])
def test_what_scikit_learn_is_saved_as(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow makes a folder of its own
    import mlflow.sklearn
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    mlflow.sklearn.save_model(model, tmp_path / "m", serialization_format=form, pip_requirements=["scikit-learn"])
    flavors = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())["flavors"]

    assert pickles.found(tmp_path / "m", flavors)
    assert pickles.found(tmp_path / "m", {"python_function": CODE})  # by its files alone


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)])
def test_what_joblib_writes_under_another_name(tmp_path: Path, compress: Any) -> None:
    import joblib

    joblib.dump({"weights": np.arange(100)}, tmp_path / "weights", compress=compress)

    assert pickles.found(tmp_path, {"python_function": CODE})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("new", [True, False])
def test_what_torch_writes_under_another_name(tmp_path: Path, new: bool) -> None:
    import torch

    torch.save({"w": torch.zeros(2)}, tmp_path / "weights", _use_new_zipfile_serialization=new)

    assert pickles.found(tmp_path, {"python_function": CODE})
