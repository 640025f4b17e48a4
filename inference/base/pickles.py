"""Whether loading a model unpickles something: judged by MLflow's flavour, and by names and contents of the files.

Nothing is unpickled to find out. A flavour that unpickles counts whatever its files look like; a file that is a pickle
counts whatever its flavour is, since code may load it.
"""

from __future__ import annotations

import bz2
import lzma
import pickletools
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

# `mlflow.sklearn` also with skops, whose list of trusted types stands in the model's own MLmodel; `mlflow.pytorch` also
# with a .pt2, which `torch.export.load` unpickles: newer versions of MLflow look into it before, older ones do not.
_FLAVOURS = {
    "mlflow.fastai", "mlflow.pmdarima", "mlflow.pytorch", "mlflow.shap", "mlflow.sklearn", "mlflow.statsmodels",
}  # fmt: skip
_SUFFIXES = {
    ".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill", ".pt", ".pth", ".pt2", ".bin", ".skops",
}  # fmt: skip
_OPCODES = {ord(one.code) for one in pickletools.opcodes}
_HEAD = 4096


def found(path: Path, flavors: dict[str, Any]) -> bool:
    """Whether the model in the folder `path` is loaded by unpickling."""
    return _by_flavour(flavors) or any(_is_pickle(file) for file in path.rglob("*") if file.is_file())


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
