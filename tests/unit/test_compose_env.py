"""`make env`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services import compose_env

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something at the place of an engine's socket, and no wheels."""
    socket = tmp_path / "docker.sock"
    socket.touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    monkeypatch.setenv("INFERENCE_FIND_LINKS", "")
    monkeypatch.delenv("INFERENCE_INDEX_URL", raising=False)
    return socket


def read(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_file_has_passwords_of_its_own_which_nobody_else_may_read(tmp_path: Path, engine: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    compose_env.write(one)
    compose_env.write(other)

    secret = {name for name in compose_env.values() if name.endswith(("PASSWORD", "SECRET", "KEY"))}
    assert len(secret) == 13
    values = [read(path)[name] for path in (one, other) for name in secret]
    assert len(set(values)) == 26
    assert min(map(len, values)) >= 16
    assert one.stat().st_mode & 0o777 == 0o600
    assert read(one)["DOCKER_SOCKET"] == str(engine)
    assert read(one)["DOCKER_GID"] == str(engine.stat().st_gid)


def test_what_is_there_stays_and_what_is_missing_is_added(tmp_path: Path) -> None:
    path = tmp_path / "env"
    compose_env.write(path)
    before = path.read_text()
    assert compose_env.write(path) == []
    assert path.read_text() == before

    path.write_text("# mine\nAIRFLOW_PORT=9999\n")
    added = compose_env.write(path)

    assert path.read_text().startswith("# mine\nAIRFLOW_PORT=9999\n")
    assert sorted([*added, "AIRFLOW_PORT"]) == sorted(read(path)) == sorted(compose_env.values())


def test_folders_of_wheels_are_mounted_and_pages_keep_their_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "torch-2.13.0-cp311-cp311-linux_x86_64.whl").touch()
    monkeypatch.setenv("INFERENCE_FIND_LINKS", f"file://{folder} https://wheels.example/page")
    compose_env.write(tmp_path / "env")

    found = read(tmp_path / "env")

    assert found["WHEELS"] == str(folder)
    assert found["INFERENCE_FIND_LINKS"] == "/wheels https://wheels.example/page"


def test_without_an_engine_here_it_says_what_to_do(tmp_path: Path) -> None:
    for address in ("unix:///nowhere/docker.sock", "tcp://10.0.0.1:2376"):
        done = subprocess.run(
            [sys.executable, "-S", "-m", "services.compose_env", str(tmp_path / "env")],  # -S: no installed packages
            env={**os.environ, "DOCKER_HOST": address}, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert done.returncode == 1
        assert address in done.stderr
        assert "Start Docker, or set DOCKER_HOST=unix://" in done.stderr
        assert not (tmp_path / "env").exists()
