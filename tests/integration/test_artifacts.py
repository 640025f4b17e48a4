"""Files of a version that want to be somewhere else, or something else: none outside of its folder is met."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from inference.base import state_folder
from inference.base.digest import digest
from inference.errors import ModelError, Unavailable
from inference.models import artifact
from inference.models.environment import ensure
from inference.models.mlflow_rest import Registry, Version
from inference.scoring import load

pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]
VERSION = Version("evil", "1", "mlflow-artifacts:/evil", None)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def serving() -> Iterator[Callable[[str], Registry]]:
    """An MLflow server that offers one file of any name."""
    offered: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path.endswith("get-download-uri"):
                body = json.dumps({"artifact_uri": "mlflow-artifacts:/evil"}).encode()
            elif path.endswith("mlflow-artifacts/artifacts"):
                below = parse_qs(urlsplit(self.path).query)["path"][0] != "evil"
                files = [{"path": name, "is_dir": False, "file_size": 6} for name in offered]
                body = json.dumps({"files": [] if below else files}).encode()
            else:
                body = b"planted"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def serve(name: str) -> Registry:
            offered.append(name)
            return Registry(f"http://127.0.0.1:{server.server_port}")

        yield serve
        server.shutdown()
        thread.join()


def planted(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.read_bytes() == b"planted"]


@pytest.mark.parametrize(
    "name", ["../escaped", "../../../escaped", "a/../../escaped", "ABSOLUTE/escaped", "%2e%2e/escaped"]
)
def test_a_file_that_is_named_out_of_the_folder_is_not_written(
    serving: Callable[[str], Registry], folder: Path, tmp_path: Path, name: str
) -> None:
    registry = serving(name.replace("ABSOLUTE", str(tmp_path)))

    with pytest.raises((Unavailable, ModelError)):
        artifact.fetch(registry, VERSION)

    assert planted(tmp_path) == []
    assert list((folder / "models").iterdir()) == []


def test_a_plain_name_is_fetched(serving: Callable[[str], Registry], tmp_path: Path) -> None:
    found = artifact.fetch(serving("file"), VERSION)

    assert planted(tmp_path) == [state_folder.model_folder(found) / "file"]


def model_of(path: Path, **flavor: Any) -> Path:
    path.mkdir(parents=True)
    content = {"flavors": {"python_function": {"python_version": "3.11.7", **flavor}}}
    (path / "MLmodel").write_text(yaml.safe_dump(content))
    (path / "python_env.yaml").write_text("python: 3.11.7")
    (path / "requirements.txt").write_text("pandas")
    return path


@pytest.mark.parametrize(
    ("flavor", "said"),
    [
        ({"data": "../model"}, "data of its MLmodel is '../model'"),
        ({"data": "/etc/model"}, "data of its MLmodel is '/etc/model'"),
        ({"python_model": "a/../../model"}, "python_model of its MLmodel is 'a/../../model'"),
        ({"code": "/etc"}, "code of its MLmodel is '/etc'"),
        ({"artifacts": {"weights": {"path": "../w.safetensors"}}}, "artifacts.weights.path of its MLmodel is"),
    ],
)
def test_a_model_that_names_files_outside_of_its_folder_is_refused(
    tmp_path: Path, flavor: dict[str, Any], said: str
) -> None:
    path = model_of(tmp_path / "model", **flavor)

    with pytest.raises(ModelError, match=rf"^evil version 1: {said}.*, which leads out of the model's folder$"):
        artifact.read(path, VERSION)


def test_a_link_among_the_files_is_refused(folder: Path, tmp_path: Path) -> None:
    path = model_of(folder / "models" / "given")
    (tmp_path / "secret").write_text("secret")
    (path / "weights").symlink_to(tmp_path / "secret")

    with pytest.raises(ModelError, match="model file weights is a link; log the file itself"):
        digest(path)
    with pytest.raises(ModelError, match="is a link"):
        load.load("given", allow_pickle=False)


def test_files_that_are_not_those_that_were_planned_are_not_loaded(folder: Path) -> None:
    path = model_of(folder / "models" / "draft")
    found = digest(path)
    path = path.rename(folder / "models" / found)
    (path / "requirements.txt").write_text("pandas\nother")

    with pytest.raises(ModelError, match="are not as planned"):
        load.load(found, allow_pickle=False)


RENAMED = """
import sys, mlflow.pyfunc, pathlib, yaml

class Marks(mlflow.pyfunc.PythonModel):
    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(sys.argv[2]),)
    def predict(self, context, model_input, params=None):
        return model_input

path = pathlib.Path(sys.argv[1])
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
schema = Schema([ColSpec("string", "text")])
mlflow.pyfunc.save_model(path, python_model=Marks(), signature=ModelSignature(schema, schema), pip_requirements=["a"])
content = yaml.safe_load((path / "MLmodel").read_text())
content["flavors"]["python_function"]["python_model"] = "weights"
(path / "python_model.pkl").rename(path / "weights")
(path / "MLmodel").write_text(yaml.safe_dump(content))
"""
LOAD = "import sys, mlflow.pyfunc; print(mlflow.__version__); mlflow.pyfunc.load_model(sys.argv[1])"


def test_a_renamed_pickle_is_refused_before_an_older_mlflow_would_load_it(tmp_path: Path, folder: Path) -> None:
    """F16: MLflow 2.22 knows no switch against pickles."""
    requirements = ["mlflow-skinny==2.22.1", "pandas==2.3.3"]
    python = ensure("3.11", requirements, ROOT / ".state" / "tests", ROOT / "inference" / "requirements.txt", print)
    path, marker = tmp_path / "model", tmp_path / "unpickled"
    subprocess.run([python, "-W", "ignore", "-c", RENAMED, path, marker], cwd=tmp_path, check=True)
    assert not marker.exists()

    assert artifact.read(path, VERSION).pickled
    found = digest(path)
    shutil.copytree(path, folder / "models" / found)
    with pytest.raises(ModelError, match=r"loaded by unpickling, which model\.allow_pickle of its job does not allow"):
        load.load(found, allow_pickle=False)
    assert not marker.exists()

    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    done = subprocess.run([python, "-c", LOAD, path], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout.strip(), marker.exists()) == ("2.22.1", True)
