"""`python -m inference models`: versions listed, signed and named, on a real MLflow server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import ModelError, RequestError
from inference.models import listing, model_version, reference, sign
from inference.models.mlflow_rest import Registry
from services.mlflow_server import MlflowServer

pytestmark = pytest.mark.filterwarnings("ignore")

SHOUT = """
import mlflow.models
import pandas as pd
from mlflow.pyfunc.model import PythonModel

class Shout(PythonModel):
    def predict(self, context, model_input, params=None):
        texts = model_input["text"] if isinstance(model_input, pd.DataFrame) else model_input
        return pd.DataFrame({"loud": [text.upper() for text in texts], "length": [len(text) for text in texts]})

mlflow.models.set_model(Shout())
"""
LOG = """
import sys
import mlflow
from mlflow.pyfunc.model import PythonModel

class Pickled(PythonModel):
    def predict(self, context, model_input, params=None):
        return [0.0] * len(model_input)

client = mlflow.MlflowClient()
for name, model in (("caller", sys.argv[1]), ("caller", sys.argv[1]), ("pickled_caller", Pickled())):
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model", python_model=model, pip_requirements=["mlflow-skinny", "pandas"], registered_model_name=name
        )
client.set_registered_model_alias("caller", "champion", "2")
client.set_registered_model_alias("caller", "운영", "1")
"""


@pytest.fixture(scope="module")
def logged(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("logged")
    (folder / "shout.py").write_text(SHOUT)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOG, "shout.py"], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **mlflow_server.env()}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state folder for all, so that the models' environment is made once."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def registry(mlflow_server: MlflowServer, logged: None, state: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("INFERENCE_STATE", str(state))
    return Registry(mlflow_server.url)


def test_versions_are_listed_with_what_one_decides_by(registry: Registry) -> None:
    found = [item for item in listing.models(registry, "caller", 30) if item.version <= 2]

    assert [(item.version, item.aliases) for item in found] == [(2, ("champion",)), (1, ("운영",))]
    assert {item.signature for item in found} == {"none that can be used: models sign adds one"}
    assert all(item.environment == f"Python {'.'.join(map(str, sys.version_info[:3]))}, pyfunc" for item in found)
    assert all(item.size.endswith(" MB") for item in found)
    assert len(list(listing.models(registry, None, 1))) == 1
    with pytest.raises(ModelError, match="no-such"):
        list(listing.models(registry, "no-such", 30))


def test_a_version_without_a_signature_gets_one_and_serves(
    databases: Databases, registry: Registry, tmp_path: Path
) -> None:
    example = tmp_path / "rows.json"
    example.write_text(json.dumps([{"text": "one"}, {"text": "두 번째"}]), encoding="utf-8")
    before = registry.resolve("caller", "2")

    made, signature = sign.sign(registry, before, example, False, lambda text: None)

    assert int(made.version) > 2
    assert registry.tags(made)["inference.signed_from"] == "caller version 2"
    assert [item["name"] for item in json.loads(json.loads(signature)["outputs"])] == ["loud", "length"]
    found = model_version.resolve(databases, registry, "caller", made.version, False)
    assert [(item.name, item.type) for item in found.artifact.signature.inputs] == [("text", "string")]
    assert [(item.name, item.type) for item in found.artifact.signature.outputs] == [
        ("loud", "text"),
        ("length", "bigint"),
    ]
    assert registry.resolve("caller", "champion").version == "2"
    import mlflow.pyfunc

    mlflow.set_tracking_uri(registry.address)
    answer = mlflow.pyfunc.load_model(f"models:/caller/{made.version}").predict([{"text": "once more"}])
    assert answer.to_dict("records") == [{"loud": "ONCE MORE", "length": 9}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.json", '[{"title": "x"}]', r"^caller version 2: the model does not take the example: KeyError: 'text'"),
        ("rows.json", "[]", r"^caller version 2: the example rows.json has no rows: write a list of objects"),
        ("rows.json", "{nonsense", r"^caller version 2: the example rows.json cannot be read"),
        ("rows.csv", "title\nx\n", r"^caller version 2: the model does not take the example"),
    ],
)
def test_an_example_that_is_none_is_said(
    registry: Registry, tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    before = [item.version for item in listing.models(registry, "caller", 30)]

    with pytest.raises(ModelError, match=words):
        sign.sign(registry, registry.resolve("caller", "2"), tmp_path / name, False, lambda text: None)

    assert [item.version for item in listing.models(registry, "caller", 30)] == before


def test_a_file_of_another_kind_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"is no file of JSON or CSV"):
        sign.sign(registry, registry.resolve("caller", "2"), tmp_path / "rows.xlsx", False, lambda text: None)


def test_a_pickled_model_is_not_loaded_unless_it_may_be(registry: Registry, tmp_path: Path) -> None:
    example = tmp_path / "rows.csv"
    example.write_text("text\nx\n")
    version = registry.resolve("pickled_caller", "1")

    with pytest.raises(
        ModelError, match=r"^pickled_caller version 1: is loaded by unpickling, .* Log it as code .*--allow-pickle"
    ):
        sign.sign(registry, version, example, False, lambda text: None)

    made, _ = sign.sign(registry, version, example, True, lambda text: None)
    assert made.name == "pickled_caller"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("intent", ("intent", "champion")), ("intent@운영", ("intent", "운영")), ("intent:12", ("intent", "12")),
     ("my model@2024-q4", ("my model", "2024-q4"))],
)  # fmt: skip
def test_how_a_version_is_named(text: str, wanted: tuple[str, str]) -> None:
    """F23."""
    assert reference.parse(text) == wanted


@pytest.mark.parametrize("text", ["", "intent@", "intent:x", "intent:0", "intent@3", "a/b", "intent@a b"])
def test_what_names_no_version(text: str) -> None:
    with pytest.raises(RequestError, match="write MODEL, MODEL@ALIAS or MODEL:VERSION"):
        reference.parse(text)


def test_the_commands_say_the_next_step(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from inference.cli import app as cli

    def run(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["inference", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        return capsys.readouterr().out

    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.address)
    (tmp_path / "rows.csv").write_text("text\nx\n")

    signed = run("models", "sign", "caller:2", "--example", str(tmp_path / "rows.csv"))
    assert "python -m inference models alias caller:" in signed
    number = signed.split("models alias caller:")[1].split()[0]
    assert run("models", "alias", f"caller:{number}", "next") == f"caller@next is version {number}\n"
    listed = json.loads(run("models", "list", "caller", "--limit", "1", "--json"))
    assert [(item["version"], item["aliases"]) for item in listed] == [(int(number), ["next"])]
    assert listed[0]["signature"] == "text string -> loud text, length bigint"
