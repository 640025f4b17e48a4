"""docker-compose.yaml and what its images are made of, without an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services import compose_env

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
FILE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
ONCE = {"init", "airflow-init"}  # they end
STARTS_CONTAINERS = {"init", "airflow-worker"}


def pins(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==", 1) for line in lines)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_limited_watched_and_stops_in_its_time(name: str) -> None:
    service = SERVICES[name]

    assert {"mem_limit", "cpus", "stop_grace_period"} <= set(service)
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert service["security_opt"] == ["no-new-privileges"]
    assert ("healthcheck" in service) == (name not in ONCE)
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_each_waits_until_what_it_needs_is_healthy_or_done(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_completed_successfully" if other in ONCE else "service_healthy"}


def test_only_those_who_start_containers_have_the_engines_socket() -> None:
    have = {name for name, service in SERVICES.items() if "docker.sock" in str(service.get("volumes"))}

    assert have == STARTS_CONTAINERS
    assert {name for name, service in SERVICES.items() if "group_add" in service} == STARTS_CONTAINERS


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:$") for port in ports)


def test_workers_can_be_scaled() -> None:
    assert not {"container_name", "hostname", "ports"} & set(SERVICES["airflow-worker"])


def test_nothing_secret_is_in_the_file_and_nothing_has_a_default() -> None:
    variables = re.findall(r"(?<!\$)\$\{([^}]*)\}", TEXT)

    assert {re.sub(r":?\?run make env", "", each) for each in variables} == set(compose_env.values())
    assert all(re.fullmatch(r"[A-Z_]+:?\?run make env", each) for each in variables)
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD$|AUTH$|SECRET|_KEY$", key):
                assert re.fullmatch(r"\$\{\w+:\?run make env\}", value), key
            assert not re.search(r"://\w*:(?!\$\{)[^@/]*@", str(value)), key


def test_the_worker_knows_neither_airflows_database_nor_its_keys() -> None:
    assert not {key for key in SERVICES["airflow-worker"]["environment"] if "DATABASE" in key or "JWT" in key}
    assert "AIRFLOW__CORE__FERNET_KEY" not in SERVICES["airflow-worker"]["environment"]


def test_redis_gives_a_task_away_only_after_the_longest_one_has_ended() -> None:
    for name in ("airflow-scheduler", "airflow-worker"):
        seconds = int(SERVICES[name]["environment"]["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"])
        assert seconds > 6 * 3600  # the default of retries.timeout


def test_the_file_keeps_to_what_both_generations_of_compose_know() -> None:
    assert not {"version", "name", "include", "configs", "secrets"} & set(FILE)
    for path in (ROOT / "docker").rglob("Dockerfile"):
        text = path.read_text(encoding="utf-8")
        assert "syntax=" not in text  # would be asked of a registry
        assert "--mount" not in text  # unknown to the engine's own builder


@pytest.mark.parametrize("side", ["airflow", "tools"])
def test_images_have_the_versions_that_everything_else_was_tested_with(side: str) -> None:
    here, there = pins(f"images/{side}/requirements.txt"), pins("requirements.txt")

    assert {name: here[name] for name in here.keys() & there} == {name: there[name] for name in here.keys() & there}
    assert len(here.keys() & there) > 80
    uv = re.findall(r"uv==(\S+)", (ROOT / "images" / side / "Dockerfile").read_text(encoding="utf-8"))
    assert uv == [there["uv"]]


def test_airflows_image_has_neither_torch_nor_mlflow() -> None:
    assert not {name for name in pins("images/airflow/requirements.txt") if re.match("torch|mlflow|nvidia", name)}
