"""Environments for models: inference/models/environment.py, with two hand-made wheels and no network."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from inference.base.root import ROOT
from inference.models import environment, packages

VERSION = "{}.{}".format(*sys.version_info)


def make_wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """tinymodel 1.0 and 2.0; tinyruntime, which needs tinymodel below 2."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder, "tinymodel", "1.0")
    make_wheel(folder, "tinymodel", "2.0")
    make_wheel(folder, "tinyruntime", "1.0", "tinymodel<2")
    monkeypatch.setenv("INFERENCE_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    file = tmp_path / "runtime.txt"
    file.write_text("# the runtime\ntinymodel>=1\n")
    return file


class Messages(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


def ask(interpreter: Path, expression: str) -> str:
    code = f"import tinymodel, sys; print({expression})"
    return subprocess.check_output([interpreter, "-c", code], text=True).strip()


def test_the_pin_of_the_model_wins_and_the_second_call_is_free(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Messages()
    first = environment.ensure(VERSION + ".1", ["tinymodel==1.0"], tmp_path, runtime, said)

    assert ask(first, "tinymodel.VERSION") == "1.0"
    assert ask(first, "'%d.%d' % sys.version_info[:2]") == VERSION
    assert first.parents[2] == tmp_path / "environments"
    assert (first.parents[1] / environment.MARKER).read_text() == "tinymodel==1.0\n"

    said.clear()
    monkeypatch.setattr(subprocess, "run", None)  # no process is started
    started = time.monotonic()
    second = environment.ensure(VERSION, ["tinymodel==1.0"], tmp_path, runtime, said)
    assert (second, said) == (first, [])
    assert time.monotonic() - started < 0.05


def test_other_requirements_give_another_environment(tmp_path: Path, runtime: Path) -> None:
    first = environment.ensure(VERSION, ["tinymodel==1.0"], tmp_path, runtime, Messages())
    second = environment.ensure(VERSION, ["tinymodel==2.0"], tmp_path, runtime, Messages())
    runtime.write_text("tinyruntime\n")
    third = environment.ensure(VERSION, ["tinymodel==1.0"], tmp_path, runtime, Messages())

    assert [ask(each, "tinymodel.VERSION") for each in (first, second, third)] == [
        "1.0",
        "2.0",
        "1.0",
    ]
    assert len({first, second, third}) == 3


def test_a_conflict_quotes_uv_and_leaves_nothing_usable(tmp_path: Path, runtime: Path) -> None:
    runtime.write_text("tinyruntime\n")
    for _ in range(2):
        with pytest.raises(environment.BuildError) as caught:
            environment.ensure(VERSION, ["tinymodel==2.0"], tmp_path, runtime, Messages())
        assert "tinyruntime" in str(caught.value)
        assert "tinymodel<2" in str(caught.value)
    assert not list((tmp_path / "environments").glob(f"*/{environment.MARKER}"))


def test_an_interrupted_installation_is_redone(tmp_path: Path, runtime: Path) -> None:
    first = environment.ensure(VERSION, ["tinymodel==1.0"], tmp_path, runtime, Messages())
    (first.parents[1] / environment.MARKER).unlink()
    (module,) = first.parents[1].glob("lib/*/site-packages/tinymodel.py")
    module.unlink()

    said = Messages()
    again = environment.ensure(VERSION, ["tinymodel==1.0"], tmp_path, runtime, said)
    assert again == first
    assert ask(again, "tinymodel.VERSION") == "1.0"
    assert "interrupted" in said[0]


def test_two_at_once_install_once(tmp_path: Path, runtime: Path) -> None:
    said = Messages()
    arguments = (VERSION, ["tinymodel==1.0"], tmp_path, runtime, said)
    threads = [threading.Thread(target=environment.ensure, args=arguments) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([message for message in said if "making" in message]) == 1


@pytest.mark.parametrize("version", ["2.7", "3", "three", "3.11; rm"])
def test_a_version_of_another_form_is_refused(tmp_path: Path, runtime: Path, version: str) -> None:
    with pytest.raises(environment.BuildError, match=r"form 3\.11"):
        environment.ensure(version, [], tmp_path, runtime, Messages())


def test_a_missing_interpreter_names_the_version_and_the_way_out() -> None:
    with pytest.raises(environment.BuildError, match=r"Python 3\.99 .* `pyenv install 3\.99`"):
        environment.find_interpreter("3.99")


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    shim = shims / "python3.99"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    pyenv = tmp_path / "versions" / "3.99.1" / "bin"
    pyenv.mkdir(parents=True)
    interpreter = pyenv / "python"
    interpreter.write_text("#!/bin/sh\necho 3.99\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", str(shims))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))

    assert environment.find_interpreter("3.99") == str(interpreter)


def test_mlflow_is_not_installed_over_by_its_skinny_one(tmp_path: Path) -> None:
    file = tmp_path / "runtime.txt"
    file.write_text("mlflow-skinny>=2\npandas\n")
    assert environment.runtime(file, ["mlflow==2.9.0"]) == ["pandas"]
    assert environment.runtime(file, ["torch==2.0"]) == ["mlflow-skinny>=2", "pandas"]


def test_the_runtime_pins_nothing() -> None:
    lines = packages.read_requirements(ROOT / "inference" / "requirements.txt")
    assert lines
    assert not [line for line in lines if "==" in line or "<" in line or "~=" in line]
