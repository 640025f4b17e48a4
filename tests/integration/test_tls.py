"""TLS to Postgres and to MLflow with a certificate that signs itself: taken where it is named, refused elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.base.database import Databases
from inference.errors import Unavailable
from inference.models import artifact
from inference.models.mlflow_rest import Registry, Version
from services.mlflow_server import MlflowServer
from services.postgres import Postgres
from tests.stub import Pipeline, assert_current, create_messages
from tests.tls import TlsProxy, certificate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path / "own")


@pytest.fixture
def proxy(postgres: Postgres, files: tuple[Path, Path]) -> Iterator[TlsProxy]:
    with TlsProxy(postgres.port, files, postgres=True) as running:
        yield running


def through(databases: Databases, port: int, **query: str) -> Databases:
    url = databases.url("predictions").set(port=port).update_query_dict(query)
    return Databases({"predictions": url.render_as_string(hide_password=False)})


def test_a_whole_run_over_a_verified_connection(
    databases: Databases, proxy: TlsProxy, files: tuple[Path, Path], tmp_path: Path
) -> None:
    encrypted = through(databases, proxy.port, sslmode="verify-full", sslrootcert=str(files[0]))
    create_messages(databases, [f"message {number}" for number in range(300)])
    pipeline = Pipeline(encrypted)

    planned = pipeline.plan()
    before = proxy.encrypted
    done = subprocess.run(
        [sys.executable, "-m", "tests.shard_process", str(planned.run_id), str(planned.generation), "1"],
        env={**os.environ, **encrypted.environment("predictions"), "STUB_LOG": str(tmp_path / "log")}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert before > 0
    assert proxy.encrypted >= before + 3  # begin, read, write
    assert pipeline.finish(planned) == "published"
    assert_current(databases)


def test_another_servers_certificate_is_refused(databases: Databases, proxy: TlsProxy, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path / "other")

    with pytest.raises(Unavailable, match="certificate verify failed"):
        through(databases, proxy.port, sslmode="verify-full", sslrootcert=str(other)).open("predictions")
    assert proxy.encrypted == 0


def test_a_certificate_for_another_name_is_refused(postgres: Postgres, databases: Databases, tmp_path: Path) -> None:
    files = certificate(tmp_path / "elsewhere", "127.0.0.2")

    with TlsProxy(postgres.port, files, postgres=True) as proxy, pytest.raises(Unavailable, match="does not match"):
        through(databases, proxy.port, sslmode="verify-full", sslrootcert=str(files[0])).open("predictions")


def test_a_server_without_tls_is_refused_where_it_is_asked_for(databases: Databases, postgres: Postgres) -> None:
    with pytest.raises(Unavailable, match="does not support SSL"):
        through(databases, postgres.port, sslmode="require").open("predictions")


# MLflow


@pytest.mark.filterwarnings("ignore")  # mlflow warns while it is imported
def test_mlflow_is_verified_by_the_file_that_its_own_setting_names(
    mlflow_server: MlflowServer, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    other, _ = certificate(tmp_path / "other")
    with TlsProxy(mlflow_server.port, files, postgres=False) as proxy:
        address = f"https://127.0.0.1:{proxy.port}"

        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Registry(address).call("GET", "experiments/get-by-name", experiment_name="Default")
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(other))
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Registry(address).call("GET", "experiments/get-by-name", experiment_name="Default")
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "nowhere.pem"))
        with pytest.raises(Unavailable, match=r"nowhere\.pem"):
            Registry(address).call("GET", "experiments/get-by-name", experiment_name="Default")
        assert proxy.encrypted == 0

        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(files[0]))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))  # of other programs, and not asked
        registry = Registry(address)
        run = registry.call("POST", "runs/create", experiment_id="0")["run"]["info"]
        upload(mlflow_server, run["run_id"], tmp_path)
        registry.call("POST", "registered-models/create", name="tls")
        made = registry.call(
            "POST", "model-versions/create", name="tls", source=run["artifact_uri"] + "/model", run_id=run["run_id"]
        )["model_version"]
        before = proxy.encrypted
        artifact.fetch(registry, Version("tls", made["version"], made["source"], run["run_id"]))

    assert proxy.encrypted > before
    assert [path.name for path in (tmp_path / "state").rglob("*") if path.is_file()] == ["weights"]


def upload(server: MlflowServer, run_id: str, folder: Path) -> None:
    """An artifact `model/weights` of a run."""
    (folder / "weights").write_text("weights")
    code = f"import mlflow; mlflow.MlflowClient().log_artifact({run_id!r}, {str(folder / 'weights')!r}, 'model')"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env={**os.environ, **server.env(), **PLAIN}, check=True
    )


PLAIN = {"MLFLOW_TRACKING_SERVER_CERT_PATH": "", "REQUESTS_CA_BUNDLE": ""}
