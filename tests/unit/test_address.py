"""Every address that libpq or Airflow can write leads where they lead, also after it was handed to a shard."""

from __future__ import annotations

import pytest

from inference.base.address import hosts, normalise, parameters, where
from inference.base.database import Databases
from inference.errors import ConfigurationError
from inference.runners import docker
from tests.stub import job

EXTRAS = "%7B%22options%22%3A+%22-c+app.tenant%3Da%22%2C+%22nested%22%3A+%7B%7D%2C+%22cursor%22%3A+%22dictcursor%22%7D"
ADDRESSES = [
    ("postgres://u:p%40@h:5433/db", "host=h port=5433 user=u password=p@ dbname=db", "h:5433/db"),
    ("postgresql+psycopg2://u@h/db", "host=h user=u dbname=db", "h:5432/db"),
    ("postgres://u@%2Fvar%2Frun%2Fpostgresql/db", "host=/var/run/postgresql user=u dbname=db",
     "/var/run/postgresql:5432/db"),
    ("postgres://u@%2Fcloudsql%2Fp%3Ar%3Ai:5433/db", "host=/cloudsql/p:r:i port=5433 user=u dbname=db",
     "/cloudsql/p:r:i:5433/db"),
    ("postgresql://u@/db?host=/one", "host=/one user=u dbname=db", "/one:5432/db"),
    ("postgres://replica%2Cmaster:5433/db", "host=replica,master port=5433 dbname=db",
     "replica:5433,master:5433/db"),
    ("postgresql://u@h1:5432,h2:5433/db?target_session_attrs=read-write",
     "host=h1,h2 port=5432,5433 user=u dbname=db target_session_attrs=read-write", "h1:5432,h2:5433/db"),
    ("postgresql://h1,h2:5433/db", "host=h1,h2 port=,5433 dbname=db", "h1:5432,h2:5433/db"),
    ("postgresql:///db?host=h1&host=h2", "host=h1,h2 dbname=db", "h1:5432,h2:5432/db"),
    ("postgresql:///db?host=h1:1&host=h2:2", "host=h1,h2 port=1,2 dbname=db", "h1:1,h2:2/db"),
    ("postgresql://u@[::1]:5433/db", "host=::1 port=5433 user=u dbname=db", "[::1]:5433/db"),
    ("postgres://u@%3A%3A1/db", "host=::1 user=u dbname=db", "[::1]:5432/db"),
    ("postgresql://?service=one", "service=one", "service one"),
    ("postgresql:///db?service=one", "service=one dbname=db", "service one, database db"),
    ("postgresql:///db", "dbname=db", "the default host:5432/db"),
    ("postgresql://:5433/db", "port=5433 dbname=db", "the default host:5433/db"),
    ("postgresql://h/a%3Fb%25", "host=h dbname=a?b%", "h:5432/a?b%"),
    ("postgresql://u:p/w?x@h/db", "host=h user=u password=p/w?x dbname=db", "h:5432/db"),
    ("postgresql://u:100%sure@h/db", "host=h user=u password=100%sure dbname=db", "h:5432/db"),
    ("postgresql://me@server:p@h/db", "host=h user=me@server password=p dbname=db", "h:5432/db"),
    ("postgresql://h/db?ssl=true", "host=h dbname=db sslmode=require", "h:5432/db"),
    ("postgresql://h/db?user=u&password=p", "host=h dbname=db user=u password=p", "h:5432/db"),
    ("postgresql://h/db?options=endpoint%3Dep-1", "host=h dbname=db options=endpoint=ep-1", "h:5432/db"),
    (f"postgres://h/db?__extra__={EXTRAS}", "host=h dbname=db options=-c|app.tenant=a", "h:5432/db"),
    ('{"conn_type": "postgres", "host": "/one", "login": "u", "schema": "db", "extra": {"sslmode": "require"}}',
     "host=/one user=u dbname=db sslmode=require", "/one:5432/db"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "said"), ADDRESSES, ids=[text[:60] for text, _, _ in ADDRESSES])
def test_an_address_leads_where_libpq_and_airflow_lead(text: str, expected: str, said: str) -> None:
    """F4, F5, F32: also after `environment`, which hands it to a shard."""
    url = Databases({"shop": text}).url("shop")

    assert parameters(url) == dict(part.replace("|", " ").split("=", 1) for part in expected.split())
    assert where(url) == said
    handed = Databases({"shop": text}).environment("shop")["AIRFLOW_CONN_SHOP"]
    assert normalise("shop", handed) == url


def test_the_hosts_of_an_address_are_named_one_by_one() -> None:
    """What the runner `docker` asks whether they lead out of a container."""
    found = [hosts(normalise("shop", text)) for text in ("postgresql://a,[::1]/db", "postgresql:///db?host=/one")]

    assert found == [["a", "::1"], ["/one"]]
    assert hosts(normalise("shop", "postgresql:///db")) == [""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mysql://u:geheim@h/db",
            "its address is not one of PostgreSQL. Write postgresql://user:password@",
        ),
        ("postgresql://u:geheim@h:one/db", "its address is not one of PostgreSQL. Write postgresql://user:password@"),
        (
            "postgresql://u:geheim@h:1,h2:x/db",
            "its address is not one of PostgreSQL. Write postgresql://user:password@",
        ),
        ('{"conn_type": "http", "password": "geheim"}', "its address is not one of PostgreSQL. Write postgresql://"),
        ("{geheim", "its address is not one of PostgreSQL. Write postgresql://"),
        ("postgresql://u:geheim@h/db?port=one", "port 'one' is not a number"),
        ("postgresql://u:geheim@h/db?sslmod=require", "libpq has no option 'sslmod'. Correct it in the address"),
    ],
)
def test_an_address_that_is_none_is_refused_without_a_word_of_its_password(text: str, said: str) -> None:
    """F32"""
    with pytest.raises(ConfigurationError) as caught:
        normalise("shop", text)

    assert str(caught.value).startswith(f"connection 'shop': {said}")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgresql://u@h1,localhost:5433/db", "leads to localhost, which in a container is the container itself"),
        ("postgresql://u@[::1]/db", "leads to ::1, which in a container"),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/db", "leads to /var/run/postgresql, which in a container"),
        ("postgresql:///db", "leads to a socket, which in a container"),
        ("postgresql://?service=one", "names the service one, whose file is not in a container"),
    ],
)
def test_a_container_is_not_given_an_address_that_leads_elsewhere_there(text: str, said: str) -> None:
    """F4: in every form; what leads to a host of its own is handed on."""
    with pytest.raises(ConfigurationError, match=f"^connection 'predictions' {said}"):
        docker._connections(Databases({"predictions": text}), job(), "bridge")

    away = Databases({"predictions": "postgresql://u@h1,h2:5433/db"})
    assert docker._connections(away, job(), "bridge") == away.environment("predictions")
