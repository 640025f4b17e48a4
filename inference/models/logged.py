"""What a logged model says that it runs on: requirements.txt with pip's options, and python_env.yaml.

PackagesError           a line cannot be honoured; the message names it
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from inference.models.packages import BUILD, CONSTRAINT, PackagesError

# What uv reads in a file of requirements as pip does, with pip's short names.
_PASSED = {
    "-i": "--index-url", "--index-url": "--index-url", "--pypi-url": "--index-url",
    "--extra-index-url": "--extra-index-url", "-f": "--find-links", "--find-links": "--find-links",
    "--no-index": "--no-index", "--no-binary": "--no-binary", "--only-binary": "--only-binary",
}  # fmt: skip
_FILES = {"-r": "", "--requirement": "", "-c": CONSTRAINT, "--constraint": CONSTRAINT}
_OPTION = re.compile(r"(--[\w-]+|-\w)\s*=?\s*(.*)", re.DOTALL)


def requirements(file: Path) -> list[str]:
    """The lines of a file and of those that it names, which must be beside it: a requirement with its hashes, an
    option as uv takes it, or `--constraint` and a requirement."""
    return list(_lines(file, file.parent.resolve(), "", ()))


def build_dependencies(python_env: Any) -> list[str]:
    """Those of python_env.yaml, as lines. MLflow may write one without a version though it was installed; of setuptools
    it is then one that still has pkg_resources, which MLflow itself imported for long."""
    found = python_env.get("build_dependencies") or []
    return [BUILD + ("setuptools<81" if line == "setuptools" else line) for line in map(str, found)]


def _lines(file: Path, root: Path, prefix: str, within: tuple[Path, ...]) -> Iterator[str]:
    for number, line in _logical(file.read_text(encoding="utf-8")):
        place = f"line {number} of {file.name}"
        option = _OPTION.fullmatch(line)
        if option is None:
            _refuse_other_options(line, place)
            yield prefix + line
        elif option[1] in _FILES:
            named = _beside(file, option[2], root, place)
            if named in within:
                raise PackagesError(f"{place}: {named.name} names itself")
            yield from _lines(named, root, prefix or _FILES[option[1]], (*within, named))
        elif option[1] in _PASSED:
            yield _passed(_PASSED[option[1]], option[2], place)
        else:
            _refuse(place, option[1])


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those joined that end in a backslash, with the number of the first."""
    whole, first = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        part = re.sub(r"(^|\s+)#.*$", "", line)
        whole += part[:-1] + " " if part.endswith("\\") else part
        if not part.endswith("\\"):
            if whole.strip():
                yield first, " ".join(whole.split())
            whole, first = "", number + 1
    if whole.strip():
        yield first, " ".join(whole.split())


def _beside(file: Path, name: str, root: Path, place: str) -> Path:
    path = (file.parent / name).resolve()
    if "://" in name or root not in path.parents or not path.is_file():
        raise PackagesError(
            f"{place}: {name!r} is not among the model's files. Log the model with a path of this file that MLflow "
            "copies (`-c constraints.txt` beside its requirements), or write what it says into the requirements"
        )
    return path


def _passed(option: str, value: str, place: str) -> str:
    if "url" in option or "links" in option:
        address = urlsplit(re.sub(r"\$\{\w+\}", "", value))  # uv fills in the environment's variables
        if address.username or address.password:
            raise PackagesError(
                f"{place}: the address of {option} holds a password, which would be stored with the model. Write it as "
                "${NAME} and set that variable, or put it into ~/.netrc, and log the model again"
            )
        if address.scheme not in ("http", "https"):
            raise PackagesError(
                f"{place}: {option} {value} leads to a folder of the machine where the model was logged. Set "
                "INFERENCE_FIND_LINKS to such a folder here, and log the model without this line"
            )
    return f"{option} {value}".strip()


def _refuse_other_options(line: str, place: str) -> None:
    others = [name for name in _names(line) if name != "--hash"]
    if others:
        _refuse(place, others[0])


def _names(line: str) -> Iterable[str]:
    return re.findall(r"\s(--?[A-Za-z][\w-]*)", line)


def _refuse(place: str, option: str) -> NoReturn:
    raise PackagesError(
        f"{place}: {option} cannot be honoured here. Log the model without it, with exact versions (`six==1.16.0`) and "
        f"with no other options than -r, -c, --hash, {', '.join(sorted(set(_PASSED.values())))}"
    )
