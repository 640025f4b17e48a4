"""Versions of a real MLflow server: resolved, fetched, known by their row, and refused if they cannot serve."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.base import state_folder
from inference.base.database import Databases
from inference.base.digest import digest
from inference.base.outputs import Output
from inference.base.signature import Input, Signature
from inference.errors import ConfigurationError, InferenceError, ModelError, Unavailable
from inference.models import artifact, model_version
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Registry, Version
from inference.models.model_version import Model
from services.mlflow_server import MlflowServer
from tests.stub import sql

# The full mlflow, where it is installed, warns while it is imported: about its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parents[2]
MODEL = """
import mlflow.models
from mlflow.pyfunc.model import PythonModel

class Shout(PythonModel):
    def predict(self, context, model_input, params=None):
        return [text.upper() for text in model_input["text"]]

mlflow.models.set_model(Shout())
"""
# Logged by a process of its own, whose settings and imports stay out of the tests.
LOG = """
import json, sys
import mlflow
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema

class Pickled(PythonModel):
    def predict(self, context, model_input, params=None):
        return [0.0] * len(model_input)

inputs = Schema([ColSpec("string", "text"), ColSpec("long", "age", required=False)])
signed = ModelSignature(inputs, Schema([ColSpec("string")]))
runs = []
for name, python_model, signature in (
    ("shout", sys.argv[1], signed), ("shout", sys.argv[1], signed), ("edited", sys.argv[1], signed),
    ("pickled", Pickled(), signed), ("unsigned", sys.argv[1], None),
):
    with mlflow.start_run() as run:
        mlflow.pyfunc.log_model(
            name="model", python_model=python_model, signature=signature, pip_requirements=["mlflow-skinny", "pandas"],
            registered_model_name=name,
        )
    runs.append(run.info.run_id)
client = mlflow.MlflowClient()
for name in ("shout", "edited", "pickled", "unsigned"):
    client.set_registered_model_alias(name, "champion", "1")
client.set_registered_model_alias("shout", "challenger", "2")
print(json.dumps(runs))
"""
SIGNATURE = Signature(
    (Input("text", "string", "object", True), Input("age", "long", "int64", False)),
    (Output("prediction", "text", True),),
)


@pytest.fixture(scope="module")
def runs(mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Registers the models; the MLflow runs that they were logged by."""
    folder = tmp_path_factory.mktemp("logged")
    (folder / "shout.py").write_text(MODEL)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOG, "shout.py"],
        cwd=folder, env={**os.environ, **mlflow_server.env()}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def registry(mlflow_server: MlflowServer, runs: list[str]) -> Registry:
    return Registry(mlflow_server.url)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder."""
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def closed() -> str:
    """The address of a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def answering() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that gives `answer` (status, type, body) to everything, and keeps what it was `asked`."""
    settings: dict[str, Any] = {"asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            settings["asked"].append((self.path, self.headers.get("Authorization")))
            status, kind, body = settings["answer"]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", settings
        server.shutdown()
        thread.join()


def resolve(
    databases: Databases, registry: Registry, name: str, reference: str = "champion", allow_pickle: bool = False
) -> Model:
    return model_version.resolve(databases, registry, name, reference, allow_pickle)


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def test_an_alias_becomes_a_fetched_version_with_a_whole_row(
    databases: Databases, registry: Registry, runs: list[str]
) -> None:
    found = resolve(databases, registry, "shout")

    path = state_folder.model_folder(found.artifact.digest)
    assert digest(path) == found.artifact.digest
    assert (path / "shout.py").read_text() == MODEL
    source = found.version.artifact
    assert source.startswith("models:/m-")
    built = yaml.safe_load((path / "python_env.yaml").read_text())["build_dependencies"]
    requirements = ["mlflow-skinny", "pandas", *(f"--build-dependency {line}" for line in built)]
    expected = Artifact(path.name, python_version(), tuple(requirements), SIGNATURE, False)
    assert (found.version, found.artifact) == (Version("shout", "1", source, runs[0]), expected)
    rows = sql(databases, "SELECT model_id, name, version, digest, mlflow_run_id, artifact, python_version, "
                          "requirements, inputs, outputs, pickled FROM prediction.model")  # fmt: skip
    column = {"declared": None, "shape": None, "label": None, "hinted": False}
    assert rows == [
        (
            found.model_id, "shout", "1", path.name, runs[0], source, python_version(), requirements,
            [{"name": "text", "type": "string", "dtype": "object", "required": True, **column},
             {"name": "age", "type": "long", "dtype": "int64", "required": False, **column}],
            [{"name": "prediction", "type": "text", "required": True, "width": None, "part_of": None}], False,
        )
    ]  # fmt: skip
    assert sorted(item.name for item in path.parent.iterdir()) == [path.name]  # and nothing half fetched


def test_a_number_and_an_alias_of_one_version_are_one_model(
    databases: Databases, registry: Registry, runs: list[str]
) -> None:
    by_number = resolve(databases, registry, "shout", "2")

    assert resolve(databases, registry, "shout", "challenger") == by_number
    assert (by_number.version.version, by_number.version.run_id) == ("2", runs[1])
    other = resolve(databases, registry, "shout", "1")
    assert other.model_id != by_number.model_id
    assert sql(databases, "SELECT model_id, version FROM prediction.model ORDER BY version") == [
        (other.model_id, "1"), (by_number.model_id, "2")
    ]  # fmt: skip


def test_a_version_that_was_met_is_known_by_its_row_without_mlflow_and_without_its_files(
    databases: Databases, registry: Registry, tmp_path: Path
) -> None:
    first = resolve(databases, registry, "shout")
    code = """
import sys
from inference.models import model_version as model
from inference.base.database import Databases
from inference.models.mlflow_rest import Registry
found = model.resolve(Databases(), Registry(), "shout", "champion", False)
assert found.artifact.signature.outputs[0].name == "prediction"
print(found.model_id, found.artifact.digest, "mlflow" in sys.modules)
"""
    env = {**os.environ, "MLFLOW_TRACKING_URI": registry.address, "INFERENCE_STATE": str(tmp_path / "other"),
           "AIRFLOW_CONN_PREDICTIONS": databases.url("predictions").render_as_string(False)}  # fmt: skip

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(first.model_id), first.artifact.digest, "False"]
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("name", "reference", "what"),
    [
        ("nobody", "champion", "model 'nobody' has no alias 'champion'"),
        ("nobody", "1", "model 'nobody' has no version 1"),
        ("shout", "canary", "model 'shout' has no alias 'canary'"),
        ("shout", "99", "model 'shout' has no version 99"),
    ],
)
def test_an_unknown_model_alias_or_version_is_named(
    databases: Databases, registry: Registry, name: str, reference: str, what: str
) -> None:
    with pytest.raises(ModelError) as raised:
        resolve(databases, registry, name, reference)

    message = str(raised.value)
    assert message.startswith(f"{what} (MLflow at {registry.address}: ")
    assert message.endswith("python -m inference models register --help")
    assert sql(databases, "SELECT FROM prediction.model") == []


def test_a_version_that_older_code_has_judged_is_judged_again(databases: Databases, registry: Registry) -> None:
    """F16: its row said that a pickle under another name is none, and nothing of what an array holds."""
    whole = resolve(databases, registry, "pickled", allow_pickle=True)
    sql(databases, "UPDATE prediction.model SET pickled = false, inputs = CAST(:inputs AS jsonb)",
        inputs='[{"name": "text", "type": "string", "dtype": "object", "required": true}]')  # fmt: skip

    with pytest.raises(ModelError, match=r"^pickled version 1: is loaded by unpickling"):
        resolve(databases, registry, "pickled")

    assert sql(databases, "SELECT model_id, pickled, inputs -> 0 ? 'declared' FROM prediction.model") == [
        (whole.model_id, True, True)
    ]
    assert resolve(databases, registry, "pickled", allow_pickle=True) == whole


def test_a_pickle_is_refused_unless_the_job_allows_it(databases: Databases, registry: Registry) -> None:
    with pytest.raises(ModelError, match=r"^pickled version 1: is loaded by unpickling.*model\.allow_pickle: true"):
        resolve(databases, registry, "pickled")

    assert resolve(databases, registry, "pickled", allow_pickle=True).artifact.pickled
    with pytest.raises(ModelError, match=r"^pickled version 1: is loaded by unpickling"):
        resolve(databases, registry, "pickled")  # known by its row, it is refused as well


def test_a_model_without_a_signature_is_refused_and_gets_no_row(databases: Databases, registry: Registry) -> None:
    with pytest.raises(
        ModelError, match=r"^unsigned version 1: has no signature, .*models sign unsigned --example FILE"
    ):
        resolve(databases, registry, "unsigned")

    assert sql(databases, "SELECT FROM prediction.model") == []


def test_files_that_were_changed_in_the_state_folder_are_fetched_again(
    databases: Databases, registry: Registry
) -> None:
    found = resolve(databases, registry, "shout")
    path = state_folder.model_folder(found.artifact.digest)

    for change in ("edit", "add", "delete"):
        code = path / "shout.py"
        if change == "edit":
            code.write_text(MODEL.replace("upper", "lower"))
        elif change == "add":
            (path / "sitecustomize.py").write_text("import os")
        else:
            code.unlink()
        assert artifact.ensure(registry, found.version, found.artifact.digest) == path
        assert (code.read_text(), (path / "sitecustomize.py").exists()) == (MODEL, False)
        assert digest(path) == found.artifact.digest


def test_a_folder_that_is_missing_is_fetched_again_and_one_that_is_whole_is_not(
    databases: Databases, registry: Registry, closed: str
) -> None:
    found = resolve(databases, registry, "shout")
    path = state_folder.model_folder(found.artifact.digest)

    assert artifact.ensure(Registry(closed), found.version, found.artifact.digest) == path  # asks nobody
    shutil.rmtree(path)
    with pytest.raises(Unavailable, match=f"^MLflow at {closed} does not answer: "):
        artifact.ensure(Registry(closed), found.version, found.artifact.digest)
    assert artifact.ensure(registry, found.version, found.artifact.digest) == path
    assert digest(path) == found.artifact.digest


def test_files_that_were_changed_in_the_registry_are_refused_with_both_digests(
    databases: Databases, registry: Registry, mlflow_server: MlflowServer
) -> None:
    found = resolve(databases, registry, "edited")
    shutil.rmtree(state_folder.folder())
    (stored,) = mlflow_server.folder.glob(f"artifacts/**/{found.version.artifact.removeprefix('models:/')}/artifacts")
    changed = MODEL.replace("upper", "lower")
    (stored / "shout.py").write_text(changed)

    with pytest.raises(ModelError) as raised:
        artifact.ensure(registry, found.version, found.artifact.digest)

    (fetched,) = (state_folder.folder() / "models").iterdir()
    assert (fetched / "shout.py").read_text() == changed
    assert str(raised.value) == (
        f"edited version 1: its files have digest {fetched.name[:12]}, the run was planned with "
        f"{found.artifact.digest[:12]}: somebody changed them in place. Register a new version, and find out who did "
        "it."
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_among_a_models_files_is_refused(
    databases: Databases, registry: Registry, tmp_path: Path, kind: str
) -> None:
    found = resolve(databases, registry, "shout")
    path = state_folder.model_folder(found.artifact.digest)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "secret").write_text("s")
    (path / "link").symlink_to(target if kind == "folder" else target / "secret")

    with pytest.raises(ModelError, match="model file link is a link; log the file itself"):
        artifact.ensure(registry, found.version, found.artifact.digest)


@pytest.mark.parametrize("address", ["{}", "{}/", "http://boss:geheim@{}/"])
def test_a_server_that_is_down_is_named_at_once_without_a_password(
    monkeypatch: pytest.MonkeyPatch, closed: str, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "boss")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")
    bare = closed.removeprefix("http://") if "@" in address else closed
    started = time.monotonic()

    with pytest.raises(Unavailable) as raised:
        Registry(address.format(bare)).resolve("shout", "champion")

    assert str(raised.value) == (
        f"MLflow at {closed} does not answer: [Errno 111] Connection refused. Is the server up, and is "
        "MLFLOW_TRACKING_URI right?"
    )
    assert time.monotonic() - started < 2


HTML = b"<html>Welcome to nginx</html>"
WHO = (
    "If that is about who asks: check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, "
    "and what that user may do"
)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((500, "text/html", HTML), Unavailable,
         "answers 500 to registered-models/alias, and says: Welcome to nginx; see its log"),
        ((503, "application/json", b'{"message": "later"}'), Unavailable,
         "answers 503 to registered-models/alias, and says: later; see its log"),
        ((500, "text/plain", b""), Unavailable, "answers 500 to registered-models/alias; see its log"),
        ((200, "text/html", HTML), Unavailable,
         "answers 200 without JSON to registered-models/alias, and says: Welcome to nginx; is that address an MLflow "
         "server?"),
        ((404, "text/html", HTML), Unavailable,
         "answers 404 without JSON to registered-models/alias, and says: Welcome to nginx; is that address an MLflow "
         "server?"),
        ((200, "application/json", b'["ok"]'), Unavailable,
         "answers 200 without JSON to registered-models/alias; is that address an MLflow server?"),
        ((401, "text/plain", b"\nYou are not authenticated.\r\nPlease see ..."), ConfigurationError,
         f"answers 401 to registered-models/alias, and says: You are not authenticated.. {WHO}"),
        ((403, "text/plain", b"Invalid Host header - possible DNS rebinding attack detected"), ConfigurationError,
         "answers 403 to registered-models/alias, and says: Invalid Host header - possible DNS rebinding attack "
         f"detected. {WHO}"),
        ((403, "text/plain", b"see http://boss:geheim@proxy/" + b"x" * 500), ConfigurationError,
         f"answers 403 to registered-models/alias, and says: see http://proxy/{'x' * 283}.... {WHO}"),
    ],
)  # fmt: skip
def test_a_server_that_is_not_well_or_no_mlflow_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
    answering: tuple[str, dict[str, Any]],
    answer: tuple[int, str, bytes],
    error: type[InferenceError],
    said: str,
) -> None:
    """F20: the server's own reason is told, in one line."""
    address, server = answering
    server["answer"] = answer
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "boss")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")

    with pytest.raises(error) as raised:
        Registry(address).resolve("shout", "champion")

    assert (type(raised.value), str(raised.value)) == (error, f"MLflow at {address} {said}")
    assert server["asked"] == [
        ("/api/2.0/mlflow/registered-models/alias?name=shout&alias=champion", "Basic Ym9zczpnZWhlaW0=")
    ]


FOUND = (200, "application/json", b'{"model_version": {"name": "shout", "version": "3", "source": "s3://x"}}')


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "t0ken"}, "Bearer t0ken"),
        ({"MLFLOW_TRACKING_TOKEN": "t0ken", "MLFLOW_TRACKING_USERNAME": "boss", "MLFLOW_TRACKING_PASSWORD": "geheim"},
         "Basic Ym9zczpnZWhlaW0="),
        ({"MLFLOW_TRACKING_TOKEN": "t0ken", "MLFLOW_TRACKING_USERNAME": "boss"}, "Bearer t0ken"),
        ({"MLFLOW_TRACKING_USERNAME": "운영", "MLFLOW_TRACKING_PASSWORD": "비밀"}, "Basic 7Jq07JiBOuu5hOuwgA=="),
        ({"MLFLOW_TRACKING_USERNAME": "boss"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_credentials_are_those_that_mlflows_own_client_sends(
    monkeypatch: pytest.MonkeyPatch, answering: tuple[str, dict[str, Any]], tmp_path: Path, settings: dict[str, str],
    sent: str | None,
) -> None:  # fmt: skip
    """F19: a token, for a server behind a proxy that knows no passwords."""
    address, server = answering
    server["answer"] = FOUND
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert Registry(address).resolve("shout", "champion").version == "3"
    assert [asked[1] for asked in server["asked"]] == [sent]
    import mlflow

    mlflow.MlflowClient(address).get_model_version_by_alias("shout", "champion")
    assert [asked[1] for asked in server["asked"]][1] == sent


def test_a_token_wins_over_a_password_of_netrc(
    monkeypatch: pytest.MonkeyPatch, answering: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    """F19."""
    address, server = answering
    server["answer"] = FOUND
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password wrong\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")

    Registry(address).resolve("shout", "champion")

    assert [asked[1] for asked in server["asked"]] == ["Bearer t0ken"]


def test_users_of_mlflows_own_file_are_known(
    monkeypatch: pytest.MonkeyPatch, answering: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    """F19, of the neighbour that MLflow's `login` writes."""
    address, server = answering
    server["answer"] = FOUND
    (tmp_path / ".mlflow").mkdir()
    text = "[mlflow]\nmlflow_tracking_username = boss\nmlflow_tracking_password = geheim\n"
    (tmp_path / ".mlflow" / "credentials").write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path))

    Registry(address).resolve("shout", "champion")

    assert [asked[1] for asked in server["asked"]] == ["Basic Ym9zczpnZWhlaW0="]


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH"])
def test_an_authentication_that_this_client_does_not_know_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """F19: better than a request without credentials."""
    monkeypatch.setenv(name, "true")

    with pytest.raises(ConfigurationError, match=rf"^{name} is set, and this project's own client .* no such"):
        Registry("http://127.0.0.1:9")


@pytest.mark.parametrize("alias", ["2024-q4", "_prod", "운영", "v1-beta"])
def test_any_alias_that_mlflow_allows_is_resolved(registry: Registry, alias: str) -> None:
    """F23."""
    registry.call("POST", "registered-models/alias", name="shout", alias=alias, version="2")

    assert registry.resolve("shout", alias).version == "2"


@pytest.mark.parametrize(
    ("given", "shown"),
    [("", "''"), ("./mlruns", "'./mlruns'"), ("postgresql://boss:ge@heim@db/mlflow", "'postgresql://db/mlflow'")],
)
def test_an_address_that_is_none_of_a_server_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str, shown: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)

    with pytest.raises(ConfigurationError) as raised:
        Registry()

    assert str(raised.value) == f"MLFLOW_TRACKING_URI: {shown} is no address of an MLflow server; set http://host:port"
