"""A container registry on 127.0.0.1: Debian's docker-registry."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest
import yaml

from services.files import free_port
from tests.e2e.docker_company import await_true


@pytest.fixture(scope="session")
def image_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its host:port."""
    if not shutil.which("docker-registry"):
        if os.environ.get("CI"):
            raise AssertionError("docker-registry is missing: apt-get install docker-registry")
        pytest.skip("no docker-registry: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("image-registry")
    address = f"127.0.0.1:{free_port(27600)}"
    settings = folder / "registry.yml"
    content = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": address},
    }
    settings.write_text(yaml.safe_dump(content))
    command = ["docker-registry", "serve", str(settings)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    host, port = address.split(":")

    def answers() -> bool:
        with suppress(OSError):
            socket.create_connection((host, int(port)), 1).close()
            return True
        return False

    try:
        await_true(answers, 20, "docker-registry")
        yield address
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
