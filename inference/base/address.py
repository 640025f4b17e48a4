"""The address of a database: what libpq and Airflow write, as one form that survives being handed on.

A single host is `url.host`. A folder of sockets, several hosts or none are `host` and `port` of the query, as libpq
takes them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Optional
from urllib.parse import parse_qsl

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import ConfigurationError

# What Airflow's own hook reads of a connection's extras, and libpq has no option for.
AIRFLOWS = {
    "cursor", "iam", "aws_conn_id", "redshift", "cluster-identifier", "cluster_identifier", "redshift-serverless",
    "workgroup-name", "azure_conn_id", "sqlalchemy_scheme", "sqlalchemy_query", "enable_log_db_messages", "__extra__",
}  # fmt: skip


def normalise(name: str, text: str) -> URL:
    """The address of connection `name` in its one form; raises ConfigurationError, which never repeats the address."""
    parts = _of_json(text) if text.lstrip().startswith("{") else _of_uri(text)
    if parts is None:
        raise ConfigurationError(
            f"connection {name!r}: its address is not one of PostgreSQL. "
            "Write postgresql://user:password@host:port/database."
        )
    extras = _extras(parts.pop("__extra__", None))
    parts.update({key: value for key, value in extras.items() if not isinstance(value, (dict, list))})
    parts = {key: str(value) for key, value in parts.items() if key not in AIRFLOWS and value not in (None, "")}
    if parts.pop("ssl", "false") == "true":  # libpq takes JDBC's word in an address, and in an address only
        parts.setdefault("sslmode", "require")
    for key in parts:
        _refuse_unknown(name, key)
    host, port = parts.get("host", ""), parts.get("port", "")
    if not re.fullmatch(r"[\d,]*", port):
        raise ConfigurationError(f"connection {name!r}: port {port!r} is not a number")
    alone = host and not host.startswith(("/", "@")) and "," not in host + port
    if alone:
        del parts["host"]
        parts.pop("port", None)
    return URL.create(
        "postgresql+psycopg2",
        username=parts.pop("user", None),
        password=parts.pop("password", None),
        host=host if alone else None,
        port=int(port) if alone and port else None,
        database=parts.pop("dbname", None),
        query=parts,
    )


def parameters(url: URL) -> dict[str, str]:
    """The same as libpq's parameters."""
    given = {**_own(url), **url.query}
    return {key: str(value) for key, value in given.items() if value is not None}


def _own(url: URL) -> dict[str, Any]:
    names = {"host": "host", "port": "port", "user": "username", "password": "password", "dbname": "database"}
    return {key: getattr(url, name) for key, name in names.items()}


def settings(url: URL) -> dict[str, str]:
    """The server's settings that the address's own `options` give."""
    found = {}
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|\S)+", str(url.query.get("options", "")))]
    for before, word in zip(["", *words], words):
        item = word[2:] if word.startswith(("--", "-c")) else word if before == "-c" else ""
        name, sign, value = item.partition("=")
        if sign:
            found[name.replace("-", "_")] = value
    return found


def hosts(url: URL) -> list[str]:
    """Each host or folder that the address leads to; an empty text where libpq chooses."""
    return str(url.host or url.query.get("host", "")).split(",")


def where(url: URL) -> str:
    """The address for a message: hosts, ports and database."""
    service = url.query.get("service")
    names = hosts(url)
    ports = str(url.port or url.query.get("port", "")).split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    places = (
        f"{f'[{host}]' if ':' in host and host[0] != '/' else host or 'the default host'}:{port or 5432}"
        for host, port in zip(names, ports)
    )
    if service and names == [""]:
        return f"service {service}" + (f", database {url.database}" if url.database else "")
    return f"{','.join(places)}/{url.database or ''}"


def _of_uri(text: str) -> Optional[dict[str, Any]]:
    """The parts of `postgresql://...`; None if it is no such address."""
    found = re.fullmatch(r"postgres(?:ql)?(?:\+\w+)?://([^?]*)(?:\?(.*))?", text.strip(), re.DOTALL)
    if found is None:
        return None
    try:
        parts: dict[str, Any] = parse_dsn(f"postgresql://{found[1]}")
        query = parse_qsl(found[2] or "")
    except psycopg2.ProgrammingError:
        parts, query = {"port": "?"}, []
    if not re.fullmatch(r"[\d,]*", parts.get("port", "")):
        return _with_bare_signs(text)
    given: dict[str, list[str]] = {}
    for key, value in query:
        given.setdefault(key, []).append(value)
    if "host" in given:
        parts.pop("host", None)
        if len(given["host"]) > 1:
            parts.pop("port", None)
    parts.update({key: values[-1] for key, values in given.items()})
    return {**parts, **_several(given)}


def _several(given: dict[str, list[str]]) -> dict[str, str]:
    """`host=h1&host=h2` and SQLAlchemy's `host=h1:5432&host=h2:5433`, as libpq's two lists."""
    found = [re.fullmatch(r"([^:/]+):(\d+)", host) for host in ",".join(given.get("host", [])).split(",")]
    lists: dict[str, str] = {key: ",".join(given[key]) for key in ("host", "port") if key in given}
    if any(found):
        names = lists["host"].split(",")
        lists["host"] = ",".join(one[1] if one else name for one, name in zip(found, names))
        lists["port"] = ",".join(one[2] if one else "" for one in found)
    return lists


def _with_bare_signs(text: str) -> Optional[dict[str, Any]]:
    """An address whose password holds `/` or `?`, or whose user holds `@`, as they are: SQLAlchemy takes those."""
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):  # their messages repeat the address, and with it the password
        return None
    query = {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    return {**_own(url), **query}


def _of_json(text: str) -> Optional[dict[str, Any]]:
    """The parts of an Airflow connection that is written as JSON."""
    found = _extras(text)
    if found.get("conn_type") not in ("postgres", "postgresql"):
        return None
    names = {"host": "host", "port": "port", "user": "login", "password": "password", "dbname": "schema"}
    return {**{key: found.get(name) for key, name in names.items()}, "__extra__": found.get("extra")}


def _extras(given: Any) -> dict[str, Any]:
    """Extras of an Airflow connection; those that hold lists or objects come as one JSON value."""
    try:
        found = json.loads(given) if isinstance(given, str) and given else given
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _refuse_unknown(name: str, key: str) -> None:
    try:
        make_dsn(**{key: "1"})
    except psycopg2.ProgrammingError:
        raise ConfigurationError(
            f"connection {name!r}: libpq has no option {key!r}. Correct it in the address, or remove it; in Airflow "
            'it stands in the query or in "Extra".'
        ) from None
