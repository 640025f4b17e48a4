"""Images, as far as no engine is needed: names, where packages come from, limits, the log's lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.errors import RequestError
from inference.images import build_context, docker_engine
from inference.jobs.sections import Resources
from inference.models import packages
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Version
from inference.models.model_version import Model
from inference.models.reference import parse
from inference.runners.process import lines
from tests.stub import TEXT


def model(*requirements: str) -> Model:
    artifact = Artifact("d" * 64, "3.10.4", requirements, TEXT, False)
    return Model(1, Version("intent", "1", "models:/m-1", None), artifact)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("intent", ("intent", "champion")),
        ("intent@canary", ("intent", "canary")),
        ("intent:12", ("intent", "12")),
        ("의도 모델@canary-2", ("의도 모델", "canary-2")),
    ],
)
def test_a_model_is_named_with_an_alias_a_version_or_neither(text: str, found: tuple[str, str]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize("text", ["", "@champion", "intent:", "intent:latest", "intent@1", "a/b", "intent@x:1"])
def test_what_is_no_model_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(RequestError, match="write MODEL, MODEL@ALIAS or MODEL:VERSION"):
        parse(text)


def test_the_runtime_is_resolved_with_the_models_own_requirements() -> None:
    wanted = build_context.requirements(model("numpy==1.26.4", "mlflow==2.9.0"))

    assert wanted[:2] == ["numpy==1.26.4", "mlflow==2.9.0"]
    assert "psycopg2-binary" in wanted
    assert not any(line.startswith("mlflow-skinny") for line in wanted)


def test_constraints_and_build_dependencies_are_files_that_the_dockerfile_installs_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """F7, F8: the same lines as in an environment."""
    monkeypatch.setenv("INFERENCE_FIND_LINKS", "")
    logged = model("six", "--constraint six==1.16.0", "--build-dependency setuptools==68.2.2")

    with build_context.made(logged, tmp_path) as folder:
        files = {file.stem: file.read_text().splitlines() for file in (folder / "requirements").glob("*.txt")}
        dockerfile = (folder / "Dockerfile").read_text()

    assert files.pop("requirements")[0] == "six"
    assert files == {"constraints": ["six==1.16.0"], "build": ["setuptools==68.2.2"]}
    for name in ("requirements", "constraints", "build"):
        assert f"/requirements/{name}.txt" in dockerfile


def test_local_folders_of_wheels_become_a_folder_of_the_image_and_pages_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INFERENCE_FIND_LINKS", f"{tmp_path} https://wheels.example/page")
    monkeypatch.setenv("INFERENCE_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("INFERENCE_BUILD_PACKAGES", "build-essential")

    found = build_context.arguments(model("numpy==1.26.4"), None)

    assert found.pop("UV")
    assert found == {
        "PYTHON": "3.10",
        "UV_FIND_LINKS": "/requirements/wheels,https://wheels.example/page",
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "BUILD_PACKAGES": "build-essential",
    }
    assert build_context.arguments(model("numpy==1.26.4"), "cu128")["UV_TORCH_BACKEND"] == "cu128"
    assert str(tmp_path) not in str(found)


@pytest.mark.parametrize(
    ("wheel", "chosen"),
    [
        ("torch-2.13.0+cpu-cp310-cp310-manylinux_2_28_x86_64.whl", True),
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", False),
        ("torch-2.12.0+cpu-cp310-cp310-manylinux_2_28_x86_64.whl", False),
        ("Typing_Extensions-4.1-py3-none-any.whl", True),
        ("typing.extensions-4.1-py2.py3-none-any.whl", True),
        ("numpy-2.0-cp38-abi3-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_only_wheels_that_were_resolved_are_copied(wheel: str, chosen: bool) -> None:
    pins: set[tuple[str, ...]] = {("torch", "2.13.0+cpu"), ("typing-extensions", "4.1")}

    assert build_context._chosen(Path(wheel), pins, "3.10") is chosen


def test_without_local_wheels_nothing_is_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERENCE_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(packages, "find_uv", lambda: pytest.fail("uv was asked"))

    assert build_context.local_wheels(["numpy"], "3.11") == []


def test_limits_are_hard_and_say_no_to_swap() -> None:
    found = docker_engine.limits(Resources(cpus=1.5, memory="512Mi"))

    wanted: dict[str, Any] = {"nano_cpus": 1_500_000_000, "mem_limit": 512 << 20, "memswap_limit": 512 << 20}
    assert {name: found[name] for name in wanted} == wanted


def test_lines_of_the_log_are_put_together_again() -> None:
    chunks = [b"one\ntw", "o\n사".encode()[:-1], "사".encode()[-1:] + b"\nno end"]

    assert list(lines(chunks)) == ["one", "two", "사", "no end"]
