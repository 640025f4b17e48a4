"""What a logged model says that it runs on is honoured or refused, and nothing is dropped without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.errors import ModelError
from inference.images import build_context
from inference.models import artifact, environment, logged, packages
from inference.models.mlflow_rest import Version
from inference.models.packages import PackagesError
from tests.unit.test_environment import VERSION, Messages, ask, make_wheel

SIGNATURE = {
    "inputs": '[{"type": "string", "name": "text", "required": true}]',
    "outputs": '[{"type": "double", "name": "score", "required": true}]',
}
# python_env.yaml and requirements.txt as these versions of MLflow write them.
LOGGED: dict[str, tuple[list[str], str]] = {
    "2.0.1": (["pip==22.3.1", "setuptools==65.5.0", "wheel==0.38.4"], "mlflow<3,>=2.0\ncloudpickle==2.2.0\n"),
    "2.9.2": (["pip==23.3.1", "setuptools", "wheel==0.41.3"], "mlflow==2.9.2\ncloudpickle==2.2.1"),
    "2.14.3": (["pip==24.0", "setuptools==65.5.1", "wheel==0.43.0"], "mlflow==2.14.3\ncloudpickle==3.0.0"),
    "2.22.1": (["pip", "setuptools", "wheel"], "mlflow==2.22.1\ncloudpickle==3.1.1"),
    "3.17.2": (["pip==23.2.1", "setuptools==84.2.1", "wheel"], "mlflow==3.17.2\ncloudpickle==3.1.2"),
}


def log_model(folder: Path, version: str, build: list[str], requirements: str) -> Path:
    folder.mkdir(parents=True)
    env: dict[str, Any] = {"env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}, "loader_module": "loader"}
    content = {"flavors": {"python_function": env}, "mlflow_version": version, "signature": SIGNATURE}
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    (folder / "requirements.txt").write_text(requirements)
    python = {"python": "3.11.7", "build_dependencies": build, "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(python))
    return folder


@pytest.mark.parametrize("version", LOGGED)
def test_build_dependencies_are_part_of_what_is_stored(tmp_path: Path, version: str) -> None:
    """F7: also without a version, as MLflow 2.9.2 writes setuptools 68.2.2; a later one may have no pkg_resources."""
    build, requirements = LOGGED[version]

    read = artifact.read(log_model(tmp_path / "m", version, build, requirements), Version("m", "1", "x", None))

    expected = [f"--build-dependency {'setuptools<81' if line == 'setuptools' else line}" for line in build]
    assert list(read.requirements) == [*requirements.split(), *expected]


def test_every_line_of_requirements_is_kept(tmp_path: Path) -> None:
    """F8"""
    folder = tmp_path / "m"
    (folder / "more").mkdir(parents=True)
    (folder / "requirements.txt").write_text(
        "# a comment\nsix==1.16.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb  # pinned\n"
        "pkg @ https://example.com/p.whl#sha256=cc\n"
        "-c constraints.txt\n--requirement=more/other.txt\n--extra-index-url https://${TOKEN}@example.com/simple\n"
        "-f https://example.com/wheels\n--no-binary numpy\n"
    )
    (folder / "constraints.txt").write_text("numpy==2.2.6\npandas<3 ; python_version > '3.9'\n")
    (folder / "more" / "other.txt").write_text("attrs\n-c ../constraints.txt\n")

    assert logged.requirements(folder / "requirements.txt") == [
        "six==1.16.0 --hash=sha256:aa --hash=sha256:bb",
        "pkg @ https://example.com/p.whl#sha256=cc",
        "--constraint numpy==2.2.6",
        "--constraint pandas<3 ; python_version > '3.9'",
        "attrs",
        "--constraint numpy==2.2.6",
        "--constraint pandas<3 ; python_version > '3.9'",
        "--extra-index-url https://${TOKEN}@example.com/simple",
        "--find-links https://example.com/wheels",
        "--no-binary numpy",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-c https://example.com/c.txt", "'https://example.com/c.txt' is not among the model's files"),
        ("-c /etc/hostname", "'/etc/hostname' is not among the model's files"),
        ("-r ../outside.txt", "'../outside.txt' is not among the model's files"),
        ("-c missing.txt", "'missing.txt' is not among the model's files"),
        ("-r requirements.txt", "requirements.txt names itself"),
        ("--extra-index-url https://me:geheim@example.com/", "the address of --extra-index-url holds a password"),
        ("--index-url=https://geheim@example.com/", "the address of --index-url holds a password"),
        ("-f /wheels", "--find-links /wheels leads to a folder of the machine where the model was logged"),
        ("--pre", "--pre cannot be honoured here"),
        ("-e .", "-e cannot be honoured here"),
        ("--proxy http://me:geheim@proxy", "--proxy cannot be honoured here"),
        ("six --global-option=x", "--global-option cannot be honoured here"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    """F8: and a password is not repeated."""
    (tmp_path / "outside.txt").write_text("attrs\n")
    folder = log_model(tmp_path / "m", "3.1.0", [], f"six==1.16.0\n\n{line}\n")

    with pytest.raises(ModelError) as caught:
        artifact.read(folder, Version("m", "1", "x", None))

    assert "line 3 of requirements.txt: " in str(caught.value) or "line 1 of" in str(caught.value)
    assert said in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_our_own_examples_are_read_as_before() -> None:
    for file in Path(packages.__file__).parents[1].glob("examples/*/requirements.txt"):
        assert logged.requirements(file) == packages.read_requirements(file)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "1.5", "2.0"):
        make_wheel(folder, "tinymodel", version)
    make_wheel(folder, "tinybuild", "1.0")
    make_wheel(folder, "tinybuild", "2.0")
    monkeypatch.setenv("INFERENCE_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.mark.usefixtures("wheels")
def test_constraints_and_build_dependencies_decide_what_is_installed(tmp_path: Path) -> None:
    """F7, F8: in an environment of their own; requirements replace build dependencies, as with MLflow."""
    runtime = tmp_path / "runtime.txt"
    runtime.write_text("tinymodel>=1\n")
    plain = ["tinymodel"]
    constrained = ["tinymodel", "--constraint tinymodel<2", "--build-dependency tinybuild==1.0"]
    replaced = ["tinymodel", "tinybuild==2.0", "--build-dependency tinybuild==1.0"]

    made = [
        environment.ensure(VERSION, lines, tmp_path, runtime, Messages()) for lines in (plain, constrained, replaced)
    ]

    assert [ask(each, "tinymodel.VERSION") for each in made] == ["2.0", "1.5", "2.0"]
    question = "__import__('importlib.metadata').metadata.version('tinybuild')"
    assert [ask(each, question) for each in made[1:]] == ["1.0", "2.0"]
    assert len(set(made)) == 3


def test_the_digest_of_a_model_without_either_is_what_it_was() -> None:
    """So that nobody's environments are made again."""
    assert environment._digest("3.11", ["six==1.16.0", "attrs"], ["numpy"]) == "72ca255f74162bd4"


@pytest.mark.usefixtures("wheels")
def test_a_hash_is_verified(tmp_path: Path) -> None:
    """F8"""
    runtime = tmp_path / "runtime.txt"
    runtime.write_text("tinymodel>=1\n")
    lines = [f"tinymodel==1.0 --hash=sha256:{'0' * 64}"]

    with pytest.raises(environment.BuildError, match=r"[Hh]ash mismatch"):
        environment.ensure(VERSION, lines, tmp_path, runtime, Messages())


def test_a_constraint_may_pin_torch() -> None:
    assert packages.torch_version(["torch", "--constraint torch==2.13.0"]) == "2.13.0"
    assert packages.torch_version(["torch==2.13.0 --hash=sha256:aa"]) == "2.13.0"
    with pytest.raises(PackagesError, match="torch must have one exact version"):
        packages.torch_version(["torch", "--constraint torch<3"])
    assert packages.torch_version(["six", "--constraint torch<3"]) is None


@pytest.mark.usefixtures("wheels")
def test_the_wheels_of_an_image_are_those_that_constraints_and_build_dependencies_name() -> None:
    """F7, F8: an image's build cannot see this machine's folders."""
    wanted = ["tinymodel", "--constraint tinymodel<2", "--build-dependency tinybuild==1.0"]

    found = [wheel.name for wheel in build_context.local_wheels(wanted, VERSION)]

    assert found == ["tinybuild-1.0-py3-none-any.whl", "tinymodel-1.5-py3-none-any.whl"]
