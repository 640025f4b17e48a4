"""Where a connection leads and as whom: the servers are asked, and a source is read as its own connection says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.base.database import SESSION, Databases
from inference.errors import ConfigurationError, Unavailable
from inference.operations import doctor
from inference.shard import shard
from services.postgres import Postgres
from tests.conftest import WORKER, memory_folder
from tests.stub import Digest, Pipeline, assert_current, create_messages, job, predictions, sql

TENANTS = """
    CREATE TABLE message (id bigint PRIMARY KEY, text text, tenant text);
    INSERT INTO message VALUES (1, 'one', 'a'), (2, 'two', 'b');
    ALTER TABLE message ENABLE ROW LEVEL SECURITY;
    ALTER TABLE message FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON message USING (tenant = current_setting('app.tenant', true));
"""


@pytest.fixture
def roles(postgres: Postgres, databases: Databases) -> Iterator[dict[str, str]]:
    """Addresses of the test's database, by role: `boss` plans and scores, `crm_ro` reads the schema crm."""
    name = str(databases.url("predictions").database)
    sql(databases, "CREATE ROLE boss LOGIN PASSWORD 'geheim'; CREATE ROLE crm_ro LOGIN PASSWORD 'geheim'")
    sql(databases, f"GRANT CREATE ON DATABASE {name} TO boss; GRANT CREATE ON SCHEMA public TO boss")
    sql(databases, "GRANT USAGE, CREATE ON SCHEMA prediction, prediction_work TO boss;"
                   "GRANT ALL ON ALL TABLES IN SCHEMA prediction TO boss;"
                   "GRANT ALL ON ALL SEQUENCES IN SCHEMA prediction TO boss")  # fmt: skip
    yield {role: f"postgresql://{role}:geheim@127.0.0.1:{postgres.port}/{name}" for role in ("boss", "crm_ro")}
    sql(databases, "DROP OWNED BY boss, crm_ro; DROP ROLE boss, crm_ro")


def test_a_session_has_our_settings_and_those_of_its_address(databases: Databases) -> None:
    """F5, F6: ours win, also over the role's and over the address's."""
    sql(
        databases,
        f"ALTER ROLE postgres IN DATABASE {databases.url('predictions').database} SET TimeZone = 'Asia/Seoul'",
    )
    options = (
        r"-c app.tenant=a --search-path=crm,public -cTimeZone=Asia/Tokyo -c app.name=one\ two -c extra_float_digits=0"
    )
    url = databases.url("predictions").update_query_dict({"options": options, "client_encoding": "LATIN1"})

    names = [*SESSION, "app.tenant", "search_path", "app.name", "client_encoding", "statement_timeout"]
    found = sql(Databases({"predictions": url.render_as_string(False)}),
                "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))  # fmt: skip

    settings = {**SESSION, "DateStyle": "ISO, MDY", "tcp_user_timeout": "60000"}
    assert found == [(*settings.values(), "a", "crm,public", "one two", "UTF8", "5min")]


@pytest.mark.parametrize(
    "extra", ["options=-c%20app.tenant%3Da", "__extra__=%7B%22options%22%3A%20%22-c%20app.tenant%3Da%22%7D"]
)
def test_row_level_security_by_an_option_of_the_address_shows_the_tenants_rows(
    roles: dict[str, str], databases: Databases, extra: str
) -> None:
    """F5: once it was `nothing is pending` for ever; also where shards get the address through their environment."""
    sql(databases, TENANTS)
    sql(databases, "GRANT SELECT ON message TO boss")
    pipeline = Pipeline(Databases({"predictions": f"{roles['boss']}?{extra}"}))

    assert pipeline.run().planned == 1

    assert list(predictions(pipeline.databases)) == [1]


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_a_source_is_read_with_the_options_of_its_own_connection(
    roles: dict[str, str], databases: Databases, first: str, second: str
) -> None:
    """F5: two connections that differ in nothing but their options are not the same."""
    sql(databases, TENANTS)
    sql(databases, "GRANT SELECT ON message TO boss")
    tenants = {name: f"{roles['boss']}?options=-c%20app.tenant={tenant}"
               for name, tenant in (("predictions", first), ("crm", second))}  # fmt: skip
    pipeline = Pipeline(Databases(tenants), job(source__connection="crm"))

    pipeline.run()

    assert list(predictions(pipeline.databases)) == [{"a": 1, "b": 2}[second]]


def test_a_source_is_read_as_the_role_of_its_own_connection(roles: dict[str, str], databases: Databases) -> None:
    """F18: also in the same database, by plan, shards and doctor; there is no view `__current` across roles."""
    sql(databases, "CREATE SCHEMA crm")
    create_messages(databases, ["a", "b", None, "d"])
    sql(databases, "ALTER TABLE message SET SCHEMA crm; GRANT USAGE ON SCHEMA crm TO crm_ro;"
                   "GRANT SELECT ON crm.message TO crm_ro")  # fmt: skip
    both = Databases({"predictions": roles["boss"], "crm": roles["crm_ro"]})
    pipeline = Pipeline(both, job(source__connection="crm", source__schema="crm"))

    planned = pipeline.run()

    assert planned.planned == 4
    assert sorted(predictions(both)) == [1, 2, 3, 4]
    assert sql(databases, "SELECT to_regclass('prediction.intent__current')") == [(None,)]
    assert any("crm.message can be read" in finding.text for finding in doctor.examine(both, [pipeline.job]))
    sql(databases, "REVOKE SELECT ON crm.message FROM crm_ro; GRANT USAGE ON SCHEMA crm TO boss;"
                   "GRANT SELECT ON crm.message TO boss")  # fmt: skip
    assert any("crm.message cannot be read" in finding.text for finding in doctor.examine(both, [pipeline.job]))


def test_names_of_one_database_and_role_are_the_same(postgres: Postgres, databases: Databases) -> None:
    """F3: whatever way the address is written."""
    url = databases.url("predictions").render_as_string(False)
    address = url.replace("127.0.0.1", "localhost")
    several = url.replace(f"127.0.0.1:{postgres.port}", f"127.0.0.1:1,127.0.0.1:{postgres.port}")
    there = Databases({"predictions": url, "other": address, "several": several})

    assert there.same("predictions", "other")
    assert there.same("several", "predictions")


def test_two_services_are_two_databases(
    postgres: Postgres, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F3: their addresses name neither host nor database; once the source was read from the predictions' one."""
    password = databases.url("predictions").password
    place = f"host=127.0.0.1\nport={postgres.port}\nuser=postgres\npassword={password}\n"
    name = str(databases.url("predictions").database)
    postgres.create_database(f"{name}_source")
    (tmp_path / "services").write_text(f"[one]\n{place}dbname={name}\n[two]\n{place}dbname={name}_source\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    both = Databases({"predictions": "postgresql://?service=one", "crm": "postgresql://?service=two"})
    create_messages(both, ["the wrong one"])
    create_messages(both, ["a", "b"], "crm")

    Pipeline(both, job(source__connection="crm")).run()

    assert not both.same("predictions", "crm")
    assert_current(both, "crm")
    postgres.drop_database(f"{name}_source")


def test_a_server_is_reached_by_the_folder_of_its_socket() -> None:
    """F4: as Airflow writes it, as libpq does, and as a shard gets it; it is the same database as by TCP."""
    folder = Path(
        tempfile.mkdtemp(prefix="sockets-", dir=memory_folder())
    )  # 107 bytes are the most for a socket's path
    folder.chmod(0o777)
    settings = {"fsync": "off", "unix_socket_directories": str(folder)}
    with Postgres(folder / "server", port=27432 + WORKER, settings=settings) as server:
        tcp = server.libpq_url("postgres")
        encoded = tcp.replace("127.0.0.1", str(folder).replace("/", "%2F"))
        query = tcp.replace(f"127.0.0.1:{server.port}", "") + f"?host={folder}&port={server.port}"
        there = Databases({"predictions": tcp, "airflow": encoded, "libpq": query})
        there = Databases({"shard": there.environment("airflow")["AIRFLOW_CONN_AIRFLOW"], **there._urls})

        found = [sql(there, "SELECT inet_server_addr() IS NULL", name) for name in ("airflow", "libpq", "shard")]

        assert found == [[(True,)]] * 3
        assert there.same("airflow", "predictions")
    shutil.rmtree(folder)


def test_a_socket_folder_in_airflows_form_and_a_missing_service_say_what_is_wrong(tmp_path: Path) -> None:
    """F4: the message names the folder."""
    folder = str(tmp_path).replace("/", "%2F")
    there = Databases({"predictions": f"postgres://u:geheim@{folder}/db", "crm": "postgresql://?service=nowhere"})

    with pytest.raises(
        Unavailable, match=rf"^connection 'predictions' \({tmp_path}:5432/db\) does not answer: "
    ) as said:
        sql(there, "SELECT 1")
    assert "geheim" not in str(said.value)
    with pytest.raises(Unavailable, match=r"^connection 'crm' \(service nowhere\) does not answer: .*nowhere"):
        sql(there, "SELECT 1", "crm")


def test_where_no_host_of_several_answers_each_is_named() -> None:
    """F32"""
    there = Databases({"predictions": "postgresql://u:geheim@127.0.0.1:1,127.0.0.1:2/db"})

    with pytest.raises(
        Unavailable, match=r"\(127.0.0.1:1,127.0.0.1:2/db\) .*port 1 failed: .*; .*port 2 failed: "
    ) as said:
        sql(there, "SELECT 1")
    assert "geheim" not in str(said.value)


def test_a_shard_names_its_sessions_and_forgets_them_when_it_ends(databases: Databases) -> None:
    """F6: what is noted of a session is gone with it, and no entry outlives a shard that ends by itself."""
    create_messages(databases, ["a", "b", "c", "d", "e", "f"])
    pipeline = Pipeline(databases, job(sizes__chunk_rows=1, sizes__batch_rows=1))
    planned = pipeline.plan()
    seen: list[tuple[object, ...]] = []

    class Looking(Digest):
        def predict(self, data):  # type: ignore[no-untyped-def]
            seen.extend(
                sql(
                    databases,
                    "SELECT b ->> 'name', a.application_name FROM prediction.shard, jsonb_array_elements(backends) b "
                    "JOIN pg_stat_activity a ON a.pid = CAST(b ->> 'pid' AS integer)",
                )
            )
            return super().predict(data)

    shard.run(databases, planned.run_id, planned.generation, 1, lambda _: Looking())

    name = f"prediction run {planned.run_id}.1 shard 1 attempt 1"
    assert set(seen) == {(name, name)}
    assert sql(databases, "SELECT backends FROM prediction.shard") == [([],)]


def test_the_address_of_a_connection_with_an_unknown_option_is_refused_in_words(databases: Databases) -> None:
    """F32's kind: libpq's own complaint was a stack trace."""
    url = databases.url("predictions").update_query_dict({"sslmod": "require"}).render_as_string(False)

    with pytest.raises(ConfigurationError, match="libpq has no option 'sslmod'"):
        sql(Databases({"predictions": url}), "SELECT 1")


def test_shards_whose_connections_differ_read_what_plan_joined(roles: dict[str, str], databases: Databases) -> None:
    """F3, F18: plan has one role for both, shards have two; pages that follow the key are for joins only."""
    create_messages(databases, [f"message {number}" for number in range(200)])
    sql(databases, "GRANT SELECT ON message TO boss, crm_ro; ANALYZE message")
    planner = Databases({"predictions": roles["boss"], "crm": roles["boss"]})
    pipeline = Pipeline(planner, job(source__connection="crm", cost="1"))
    planned = pipeline.plan()
    assert sql(databases, "SELECT dense FROM prediction.run") == [(True,)]

    pipeline.databases = Databases({"predictions": roles["boss"], "crm": roles["crm_ro"]})
    pipeline.predict(planned)

    pipeline.databases = planner
    assert pipeline.finish(planned) == "published"
    assert_current(databases)
