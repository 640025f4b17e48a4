"""Whether loading a model unpickles something: judged by MLflow's flavour, and by names and contents of the files.

Nothing is unpickled to find out. A flavour that unpickles counts whatever its files look like; a file that is a pickle
counts whatever its flavour is, since code may load it.
"""

from __future__ import annotations

import bz2
import lzma
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import ModelError

# `mlflow.sklearn` also with skops, whose list of trusted types stands in the model's own MLmodel.
_FLAVOURS = {
    "mlflow.fastai", "mlflow.pmdarima", "mlflow.pytorch", "mlflow.shap", "mlflow.sklearn", "mlflow.statsmodels",
}  # fmt: skip
_SUFFIXES = {
    ".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill", ".pt", ".pth", ".pt2", ".bin", ".skops",
}  # fmt: skip
_OPCODES = {ord(one.code) for one in pickletools.opcodes}
_HEAD = 4096


# Versions from which MLflow looks into a .pt2 before `torch.export.load` unpickles what is in it, and refuses all but
# tensors: where unpickling is forbidden, and torch can tell.
_LOOKS = (3, 17)
_CAN_TELL = (2, 10)
_EXPORTED = "model.pt2"

# What somebody can do instead, by the module that loads the model.
_ADVICE = {
    "mlflow.sklearn": "MLflow's formats for scikit-learn, skops among them, all build the objects that the file names. "
    "ONNX does not (skl2onnx, mlflow.onnx)",
    "mlflow.pytorch": "Log it with serialization_format='pt2' and an input_example, with MLflow 3.17 and torch 2.10 or "
    "newer, or log code that loads safetensors weights (mlflow.models.set_model)",
    "mlflow.pyfunc.model": "Log it as code (python_model='model.py', which calls mlflow.models.set_model), with its "
    "weights as an artifact that is no pickle",
    "mlflow.lightgbm": "Log its Booster (model.booster_), which is a text",
}


def found(path: Path, flavors: dict[str, Any]) -> bool:
    """Whether the model in the folder `path` is loaded by unpickling."""
    looked_into = _looked_into(path, flavors)
    files = (file for file in path.rglob("*") if file.is_file() and file not in looked_into)
    return (_by_flavour(flavors) and not looked_into) or any(map(_is_pickle, files))


def advice(flavors: dict[str, Any]) -> str:
    """What to do about a model that is loaded by unpickling, beside allowing it."""
    loader = str((flavors.get("python_function") or {}).get("loader_module") or "")
    return _ADVICE.get(loader, "Log it as code with safetensors weights (mlflow.models.set_model)")


def require_guard(path: Path, flavors: dict[str, Any]) -> None:
    """Raise ModelError if the versions that are installed do not look into a .pt2, whatever its requirements say."""
    if not _looked_into(path, flavors):
        return
    for name, least in (("mlflow-skinny", _LOOKS), ("torch", _CAN_TELL)):
        numbers = re.match(r"(\d+)\.(\d+)", metadata.version(name))
        if numbers is None or (int(numbers[1]), int(numbers[2])) < least:
            newer = ".".join(map(str, least))
            raise ModelError(
                f"{name} {metadata.version(name)} is installed here, and only {newer} or newer looks into a .pt2 "
                "before it is unpickled, which model.allow_pickle of its job does not allow"
            )


def _looked_into(path: Path, flavors: dict[str, Any]) -> set[Path]:
    """The file of an exported model of PyTorch, if MLflow itself looks into it before it is loaded."""
    loader = str(flavors["python_function"].get("loader_module") or "")
    file = path / str(flavors["python_function"].get("data") or "data") / _EXPORTED
    if loader != "mlflow.pytorch" or not file.is_file():
        return set()
    pins = _pins(path / "requirements.txt")
    looks = [pins[name] >= _LOOKS for name in ("mlflow", "mlflow-skinny") if name in pins]
    return {file} if looks and all(looks) and pins.get("torch", (0, 0)) >= _CAN_TELL else set()


def _pins(file: Path) -> dict[str, tuple[int, int]]:
    """The first two numbers of each exact version in a file of requirements.

    Another kind of line about a package, a second one, or a version that is no release counts as (0, 0).
    """
    found: dict[str, tuple[int, int]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        name = re.match(r"\s*([A-Za-z0-9._-]+)", line)
        if name is None:
            continue
        key = re.sub(r"[-_.]+", "-", name[1]).lower()
        exact = re.fullmatch(r"\s*[A-Za-z0-9._-]+==(\d+)\.(\d+)(\.\d+)*(\+[a-z0-9.]+)?\s*", line)
        found[key] = (int(exact[1]), int(exact[2])) if exact and key not in found else (0, 0)
    return found


def _by_flavour(flavors: dict[str, Any]) -> bool:
    flavor = flavors["python_function"]
    loader = str(flavor.get("loader_module") or "")
    if loader == "mlflow.pyfunc.model":  # an object of Python, unless its code is loaded
        return not str(flavor.get("model_code_path") or "").endswith(".py")
    if loader == "mlflow.lightgbm":
        kind = (flavors.get("lightgbm") or {}).get("model_class")
        return kind not in (None, "lightgbm.basic.Booster")
    return loader in _FLAVOURS


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    if _looks_like_one(file.name, head):
        return True
    return zipfile.is_zipfile(file) and any(_looks_like_one(*entry) for entry in _entries(file))


def _entries(file: Path) -> Iterator[tuple[str, bytes]]:
    """Names and beginnings of what a zip file holds, such as that of torch.save or of NumPy."""
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    yield entry.filename, stream.read(_HEAD)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, zlib.error):
        yield "cannot be read.pkl", b""  # whoever made it knows how


def _looks_like_one(name: str, head: bytes) -> bool:
    if PurePosixPath(name).suffix.lower() in _SUFFIXES:
        return True
    if head.startswith(b"\x93NUMPY"):
        return b"O" in head[: head.find(b"}")].partition(b"'fortran_order'")[0].partition(b"descr")[2]
    return any(_begins_with_protocol(one) for one in (head, *_decompressed(head)))


def _begins_with_protocol(head: bytes) -> bool:
    """Every pickle since protocol 2 begins with its number, and then with an instruction."""
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and head[2] in _OPCODES


def _decompressed(head: bytes) -> Iterator[bytes]:
    """The beginning of what is in it, if it is compressed, as joblib does."""
    if head[:1] == b"x" or head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"]\0\0")):
        for decompressor in (zlib.decompressobj(47), bz2.BZ2Decompressor(), lzma.LZMADecompressor()):
            with suppress(zlib.error, OSError, lzma.LZMAError, EOFError):
                yield decompressor.decompress(head, 16)
