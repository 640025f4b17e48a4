"""`make env`: the file .env that docker-compose.yaml needs, with passwords of its own.

    python3 -m services.compose_env [FILE]

Standard library only: all that Compose asks of this machine is Docker and Python. What a file says already stays as it
is; only what is missing is added, as after an upgrade that needs one more value.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from inference.models import packages
from services.files import free_port, write_private

REPOSITORY = Path(__file__).resolve().parents[1]
HEADER = """\
# Made by `make env`; read by docker-compose.yaml. For this machine only: never commit it, never send it to anybody.
# Passwords of databases are kept by the database as well: to change one, see docs/operations.md.
"""


class EnvError(Exception):
    """The file cannot be made; the message says why and what to do."""


def values() -> dict[str, Callable[[], str]]:
    """What makes each value."""
    return {
        "COMPOSE_PROJECT_NAME": lambda: "batch-prediction",
        "INFERENCE_DOCKER_NETWORK": lambda: "batch-prediction-models",
        "AIRFLOW_PORT": lambda: str(free_port(8080)),
        "MLFLOW_PORT": lambda: str(free_port(5000)),
        "POSTGRES_PORT": lambda: str(free_port(5432)),
        "DOCKER_SOCKET": lambda: str(socket()),
        "DOCKER_GID": lambda: str(socket().stat().st_gid),
        "WHEELS": lambda: str(wheels()),
        "INFERENCE_FIND_LINKS": lambda: " ".join(["/wheels", *(link for link in links() if not Path(link).is_dir())]),
        "INFERENCE_INDEX_URL": lambda: os.environ.get("INFERENCE_INDEX_URL", ""),
        "POSTGRES_PASSWORD": password,
        "AIRFLOW_DB_PASSWORD": password,
        "MLFLOW_DB_PASSWORD": password,
        "COMPANY_DB_PASSWORD": password,
        "PREDICTION_OWNER_DB_PASSWORD": password,
        "PREDICTION_PLANNER_DB_PASSWORD": password,
        "PREDICTION_PREDICTOR_DB_PASSWORD": password,
        "PREDICTION_READER_DB_PASSWORD": password,
        "REDIS_PASSWORD": password,
        "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_hex(8),
        "AIRFLOW_FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_JWT_SECRET": lambda: secrets.token_hex(64),
        "AIRFLOW_API_SECRET": lambda: secrets.token_hex(64),
    }


def password() -> str:
    """Hexadecimal: it stands in URLs."""
    return secrets.token_hex(24)


def socket() -> Path:
    """The engine's socket, which the containers that start containers are given."""
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    path = Path(address.removeprefix("unix://"))
    if "://" in str(path) or not path.exists():
        raise EnvError(
            f"{address} is no socket of a Docker engine on this machine, which docker-compose.yaml needs. Start "
            "Docker, or set DOCKER_HOST=unix://... For an engine elsewhere see docs/security.md."
        )
    return path.resolve()


def links() -> list[str]:
    """Folders and pages with wheels, as pip or INFERENCE_FIND_LINKS has them."""
    return [link.removeprefix("file://") for link in packages.find_links()]


def wheels() -> Path:
    """The folder of wheels that images of models are built with: this machine's first, else an empty one."""
    found = [Path(link).resolve() for link in links() if any(Path(link).glob("*.whl"))]
    folder = found[0] if found else REPOSITORY / ".state" / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(path: Path) -> list[str]:
    """Add to the file what it lacks; returns the names."""
    text = path.read_text(encoding="utf-8") if path.exists() else HEADER
    present = {line.split("=")[0].strip() for line in text.splitlines() if "=" in line and not line.startswith("#")}
    missing = {name: make for name, make in values().items() if name not in present}
    if missing:
        text = text if text.endswith("\n") else text + "\n"
        write_private(path, text + "".join(f"{name}={make()}\n" for name, make in missing.items()))
    return list(missing)


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / ".env"
    existed = path.exists()
    try:
        added = write(path)
    except (EnvError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if existed:
        print(f"{path.name} is there already" + (f"; added {', '.join(added)}" if added else ": nothing to do"))
    else:
        print(f"made {path.name} with passwords of its own. Next: docker compose up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
