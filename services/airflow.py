"""Airflow on this machine: scheduler, DAG processor and API server as children of this process.

Metadata lies in the database `airflow` of the given server; the rest in `folder`:

    <folder>/logs           of tasks; scheduler.log and so on beside it are the components' own
    <folder>/passwords.json of the user `admin`, for its owner only
    <folder>/secrets        tokens are signed, connections encrypted with these
    <folder>/migrated       version and schema revision after the last `airflow db migrate`
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import psycopg2

from services.airflow_api import AirflowApi, AirflowError
from services.files import free_port, read_or_create_secret, write_private
from services.postgres import HOST, Postgres
from services.process import Child, start

REPOSITORY = Path(__file__).parents[1]
DATABASE = "airflow"
USER = "admin"
POOL = "predictions"
POOL_SLOTS = 2
MIGRATE_SECONDS = 600
START_SECONDS = 180
# The scheduler would wait for running tasks. They are ended instead, and not as failed: the next
# scheduler finds them without a parent and lets them happen again.
STOP_SECONDS = {"airflow scheduler": 2.0}

# One small machine: few processes, quick to notice new files and the death of an earlier scheduler.
LIGHT = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "API__WORKERS": "1",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}


class Airflow:
    """`connections` are URLs by connection id, `extra_env` further variables of all components."""

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        *,
        dags: Path = REPOSITORY / "dags",
        connections: Mapping[str, str] | None = None,
        extra_env: Mapping[str, str] | None = None,
        port: int = 8080,
        components: tuple[str, ...] = ("api-server", "scheduler", "dag-processor"),
    ) -> None:
        self.folder = folder.absolute()
        self.port = port
        self._postgres = postgres
        self._dags = dags
        self._connections = dict(connections or {})
        self._extra_env = dict(extra_env or {})
        self._components = components
        self._children: list[Child] = []
        self._started = datetime.now(timezone.utc)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def password(self) -> str:
        return read_or_create_secret(self.folder / "secrets" / "password", 8)

    def api(self) -> AirflowApi:
        return AirflowApi(self.url, USER, self.password)

    def env(self) -> dict[str, str]:
        """The whole environment of a component, or of an `airflow` command for this instance."""
        settings = {
            **LIGHT,
            "CORE__DAGS_FOLDER": str(self._dags),
            "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "CORE__EXECUTION_API_SERVER_URL": self.url + "/execution/",
            "CORE__FERNET_KEY": self._fernet_key(),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "passwords.json"),
            "DATABASE__SQL_ALCHEMY_CONN": self._postgres.url(DATABASE),
            "API__HOST": HOST,
            "API__PORT": str(self.port),
            "API__BASE_URL": self.url,
            "API__SECRET_KEY": self._secret("session"),
            "API_AUTH__JWT_SECRET": self._secret("jwt"),
            "LOGGING__BASE_LOG_FOLDER": str(self.folder / "logs"),
        }
        return {
            **os.environ,
            **{"AIRFLOW__" + name: value for name, value in settings.items()},
            **{"AIRFLOW_CONN_" + name.upper(): url for name, url in self._connections.items()},
            "AIRFLOW_HOME": str(self.folder),
            "PYTHONPATH": str(REPOSITORY),
            **self._extra_env,
        }

    def migrate(self) -> None:
        """Bring the metadata database to this version; nothing is done if it is there already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._postgres.create_database(DATABASE)
        marker = self.folder / "migrated"
        if marker.exists() and marker.read_text() == self._schema():
            return
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        child = start("airflow db migrate", command, self._log("migrate"), env=self.env())
        if not child.wait(MIGRATE_SECONDS):
            child.kill()
            raise child.failure(f"was not done after {MIGRATE_SECONDS} s")
        if child.exit_code != 0:
            raise child.failure(f"ended with exit code {child.exit_code}")
        write_private(marker, self._schema())

    def start(self) -> None:
        """Migrate if need be and start the components; `wait_healthy` waits for them."""
        self.migrate()
        remembered = self.folder / "port"
        self.port = free_port(int(remembered.read_text()) if remembered.exists() else self.port)
        write_private(remembered, str(self.port))
        write_private(self.folder / "passwords.json", json.dumps({USER: self.password}) + "\n")
        self._started = datetime.now(timezone.utc)
        for name in self._components:
            command = [sys.executable, "-m", "airflow", name]
            if name in ("scheduler", "triggerer"):
                # Task logs are read from the folder; their log servers would listen to everybody.
                command.append("--skip-serve-logs")
            child = start(f"airflow {name}", command, self._log(name), env=self.env())
            self._children.append(child)

    def wait_healthy(self) -> None:
        """Until all components report; then the pool for predictions is there as well."""
        api = self.api()
        for child in self._children:
            child.await_ready(lambda: self._healthy(api), START_SECONDS)
        api.set_pool(POOL, POOL_SLOTS, "shards that are scored at the same time")

    def check(self) -> None:
        """ServiceError if a component has ended."""
        for child in self._children:
            if not child.running:
                raise child.failure("has ended")

    def stop(self) -> None:
        """The API server goes last: running tasks report to it while they end."""
        for child in reversed(self._children):
            child.stop(STOP_SECONDS.get(child.name, 10))
        self._children = []

    def _healthy(self, api: AirflowApi) -> bool:
        try:
            health = api.health()
        except AirflowError:
            return False
        names = {"scheduler": "scheduler", "dag_processor": "dag-processor"}
        return all(
            health[name]["status"] == "healthy"
            # A scheduler that was killed just now is still reported as healthy.
            and self._is_new(health[name][f"latest_{name}_heartbeat"])
            for name, component in names.items()
            if component in self._components
        )

    def _is_new(self, heartbeat: str | None) -> bool:
        return heartbeat is not None and datetime.fromisoformat(heartbeat) > self._started

    def _schema(self) -> str:
        """Version of Airflow and revision of the schema, to know when there is nothing to do."""
        connection = psycopg2.connect(self._postgres.libpq_url(DATABASE))
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT version_num FROM alembic_version")
                return f"{version('apache-airflow')} {cursor.fetchone()}\n"
        except psycopg2.errors.UndefinedTable:
            return "empty"
        finally:
            connection.close()

    def _log(self, component: str) -> Path:
        return self.folder / f"{component}.log"

    def _secret(self, name: str) -> str:
        return read_or_create_secret(self.folder / "secrets" / name, 64)

    def _fernet_key(self) -> str:
        raw = bytes.fromhex(read_or_create_secret(self.folder / "secrets" / "fernet", 32))
        return base64.urlsafe_b64encode(raw).decode()
