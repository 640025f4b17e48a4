"""Where packages come from: inference/models/packages.py, without a network."""

from __future__ import annotations

import logging
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from inference.models import packages

MACHINE = platform.machine()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this machine's settings nor its network may decide a test."""
    for name in ("INFERENCE_FIND_LINKS", "INFERENCE_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(packages, "_pip_find_links", lambda: "")
    monkeypatch.setattr(packages, "_cpu_index_answers", lambda version, python: False)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with a CPU build of torch 2.13.0 for Python 3.11 on this machine."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / f"torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_{MACHINE}.whl").touch()
    (folder / f"torchvision-0.28.0+cpu-cp311-cp311-manylinux_2_28_{MACHINE}.whl").touch()
    return folder


def test_nothing_is_set() -> None:
    assert packages.install_arguments(["numpy==2.0"]) == []


def test_own_settings_come_before_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_FIND_LINKS", "/a /b")
    monkeypatch.setenv("INFERENCE_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/c")

    assert packages.install_arguments(["numpy"]) == [
        "--default-index",
        "https://index.example/simple",
        "--find-links",
        "/a",
        "--find-links",
        "/b",
    ]


def test_environment_of_pip_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/c")
    assert packages.find_links() == ["/c"]


def test_configuration_of_pip_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in ("INFERENCE_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    configuration = tmp_path / "pip.conf"
    configuration.write_text("[global]\nfind-links =\n    /first\n    /second\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))

    assert packages.find_links() == ["/first", "/second"]


def test_a_password_in_the_index_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_INDEX_URL", "https://user:hush@index.example/simple")
    with pytest.raises(packages.PackagesError, match="netrc") as caught:
        packages.install_arguments(["numpy"])
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("pin", ["torch==2.13.0", "torch==2.13.0+cpu", 'Torch == 2.13.0 ; x > "3"'])
def test_a_matching_wheel_is_taken(wheels: Path, monkeypatch: pytest.MonkeyPatch, pin: str) -> None:
    monkeypatch.setenv("INFERENCE_FIND_LINKS", str(wheels))
    monkeypatch.setattr(packages, "_cpu_index_answers", lambda version, python: True)

    assert packages.install_arguments([pin], "3.11") == ["--find-links", str(wheels)]


@pytest.mark.parametrize(("pin", "python"), [("torch==2.12.0", "3.11"), ("torch==2.13.0", "3.10")])
def test_another_wheel_is_not_taken_for_it(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, pin: str, python: str
) -> None:
    monkeypatch.setenv("INFERENCE_FIND_LINKS", str(wheels))
    monkeypatch.setattr(packages, "_cpu_index_answers", lambda version, python: True)

    assert packages.install_arguments([pin], python)[-1] == "--torch-backend=cpu"


def test_last_resort_warns_of_the_size(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert packages.install_arguments(["torch==2.13.0"]) == []
    assert "several GB" in caplog.text
    assert "INFERENCE_FIND_LINKS" in caplog.text


@pytest.mark.parametrize("line", ["torch", "torch>=2", "torch==2.*,>=2.1", "torch ~= 2.13"])
def test_torch_without_a_version_is_refused(line: str) -> None:
    with pytest.raises(packages.PackagesError, match=r"torch==X\.Y\.Z"):
        packages.install_arguments([line])


def test_other_packages_are_not_torch() -> None:
    assert packages.torch_version(["torchvision", "torch-geometric>=2", "pytorch"]) is None


def test_the_probe_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def never(command: list[str], timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", never)
    assert packages._cpu_index_answers("2.13.0", "3.11") is False


def test_requirement_files_are_read_as_pip_does(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# why\n--index-url x\n-r other.txt\nnumpy==2.0  # fast\ntorch==2.13.0 \\\n    --hash=sha256:0\n\nhttpx\n"
    )
    assert packages.read_requirements(file) == ["numpy==2.0", "torch==2.13.0", "httpx"]


def test_as_a_script_without_anything_installed(wheels: Path, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("torch==2.13.0\n")
    version = f"{sys.version_info[0]}{sys.version_info[1]}"
    (wheels / f"torch-2.13.0-cp{version}-cp{version}-linux_{MACHINE}.whl").touch()
    answer = subprocess.run(
        [sys.executable, "-S", packages.__file__, str(requirements)],
        env={"INFERENCE_FIND_LINKS": str(wheels)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == f"--find-links {wheels}\n"
