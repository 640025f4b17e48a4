"""`jobs new`: from tables and views of many shapes to a job that plan takes, or to what is missing in words."""

# ruff: noqa: E501, S608 - whole texts as people see them

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from inference import pipeline
from inference.authoring import new_job
from inference.authoring.new_job import Given
from inference.authoring.questions import Questions
from inference.base.database import Databases
from inference.base.mlmodel import DTYPES
from inference.base.signature import Input, Output, Signature
from inference.cli import app
from inference.errors import ConfigurationError, InferenceError, ModelError, RequestError, SourceError
from inference.jobs import job as jobs_module
from inference.jobs.job import Job
from inference.jobs.request import Request
from inference.models import model_version
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Registry, Version
from inference.planning import plan
from inference.publishing.check import Verdict
from inference.schema.lease import Caller
from services.postgres import Postgres
from tests.stub import sql

SCORE = (Output("score", "double precision", True),)


def taking(outputs: tuple[Output, ...] = SCORE, **inputs: str) -> Signature:
    """A signature with these inputs; a type with `?` is an optional one."""
    items = ((name, kind.rstrip("?"), kind.endswith("?")) for name, kind in inputs.items())
    return Signature(tuple(Input(name, kind, DTYPES[kind], not optional) for name, kind, optional in items), outputs)


class StubRegistry(Registry):
    """A registry whose one model `m` has versions 1 and 2 and the alias champion, unless a test says otherwise."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.aliases = {"champion": "1"}
        self.models = ["m"]

    def call(self, method: str, path: str, **values: Any) -> dict[str, Any]:
        if path == "registered-models/search":
            return {"registered_models": [{"name": name} for name in self.models]}
        if path == "registered-models/alias" and method == "POST":
            self.aliases[values["alias"]] = values["version"]
            return {}
        if values["name"] not in self.models:
            raise ModelError("RESOURCE_DOES_NOT_EXIST")
        if path == "registered-models/get":
            aliases = [{"alias": name, "version": number} for name, number in self.aliases.items()]
            return {"registered_model": {"aliases": aliases, "latest_versions": [{"version": "1"}, {"version": "2"}]}}
        number = values.get("version") or self.aliases.get(values.get("alias", ""))
        if number not in ("1", "2"):
            raise ModelError("not found")
        return {"model_version": {"name": values["name"], "version": number, "source": f"models:/m-{number}"}}


class Company:
    """A registry, a database, and `jobs new` without a terminal."""

    def __init__(self, databases: Databases, folder: Path) -> None:
        self.databases, self.folder, self.registry = databases, folder, StubRegistry()

    def model(self, signature: Signature, pickled: bool = False) -> None:
        for number in ("1", "2"):
            version = Version("m", number, f"models:/m-{number}", None)
            with self.databases.begin("predictions") as connection:
                model_version._add(connection, version, Artifact(f"digest-{number}", "3.11.7", (), signature, pickled))

    def new(self, source: str, signature: Signature | None = None, terminal: bool = False, **given: Any) -> Job:
        if signature is not None:
            self.model(signature)
        values = {"name": "j", "model": "m", "owner": "me", **given}
        return new_job.make(
            self.databases, self.registry, Given(source=source, **values), self.folder, Questions(terminal)
        )

    def planned(self, source: str, signature: Signature, **given: Any) -> Job:
        """The job, which its file says, and which is planned as it is."""
        job = self.new(source, signature, **given)
        assert jobs_module.load(self.folder / f"{job.name}.yaml") == job
        found = model_version.meet(self.databases, self.registry, self.registry.resolve("m", job.model.alias))
        ended = plan.plan(self.databases, job, Request(), found, Caller("airflow", "1", True))
        assert ended.state in ("planned", "empty")
        return job

    def text(self) -> str:
        return (self.folder / "j.yaml").read_text(encoding="utf-8")

    def refused(self, error: type[InferenceError], source: str, signature: Signature, **given: Any) -> str:
        with pytest.raises(error) as raised:
            self.new(source, signature, **given)
        assert list(self.folder.iterdir()) == []
        return str(raised.value)


@pytest.fixture
def company(databases: Databases, tmp_path: Path) -> Company:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return Company(databases, folder)


TEXT = taking(text="string")
# name: what makes the relation, its name, the signature, options, and the key, inputs and cursor of the job
SHAPES: dict[str, tuple[str, str, Signature, dict[str, Any], list[str], list[str], str | None]] = {
    "primary key": ("CREATE TABLE t (id bigint PRIMARY KEY, text text)", "t", TEXT, {}, ["id"], ["text"], None),
    "composite key": (
        "CREATE SCHEMA shop; CREATE TABLE shop.t (day date, shop int, text text, PRIMARY KEY (shop, day))",
        "shop.t", TEXT, {}, ["shop", "day"], ["text"], None),
    "unique index": (
        "CREATE TABLE t (code text NOT NULL, text text); CREATE UNIQUE INDEX t_code ON t (code)", "t", TEXT, {},
        ["code"], ["text"], None),
    "a key that is said": ("CREATE TABLE t (a int, b int, text text)", "t", TEXT, {"key": ("b", "a")},
                           ["b", "a"], ["text"], None),
    "view that passes the key": (
        "CREATE TABLE base (id int PRIMARY KEY, body text); CREATE VIEW t AS SELECT id AS nr, body AS text FROM base "
        "WHERE id > 0", "t", TEXT, {}, ["nr"], ["text"], None),
    "view with a key that is said": (
        "CREATE TABLE base (id int PRIMARY KEY, text text); "
        "CREATE VIEW t AS SELECT id, max(text) AS text FROM base GROUP BY id",
        "t", TEXT, {"key": ("id",)}, ["id"], ["text"], None),
    "materialized view": (
        "CREATE MATERIALIZED VIEW t AS SELECT 1 AS id, 'a'::text AS text; CREATE UNIQUE INDEX ON t (id)", "t", TEXT,
        {"key": ("id",)}, ["id"], ["text"], None),
    "partitioned table": (
        "CREATE TABLE t (id int, day date, text text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); "
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "t", TEXT, {},
        ["id", "day"], ["text"], None),
    "odd names": (
        'CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."odd.na""me" ("no" int PRIMARY KEY, "A: b #" text, '
        '"on" text, "\'q\'" text)', '"My Shop"."odd.na""me"',
        taking(**{"A: b #": "string", "on": "string", "'q'": "string"}), {}, ["no"], ["A: b #", "on", "'q'"], None),
    "korean": (
        f'CREATE TABLE "{unicodedata.normalize("NFD", "고객")}" (id int PRIMARY KEY, '
        f'"{unicodedata.normalize("NFD", "내용")}" text)', unicodedata.normalize("NFD", "고객"),
        taking(**{unicodedata.normalize("NFD", "내용"): "string"}), {}, ["id"], [unicodedata.normalize("NFD", "내용")],
        None),
    "names with control characters": (
        'CREATE TABLE t ("a\nb" int NOT NULL, "c\u2028d" text); CREATE UNIQUE INDEX "x\ny: z" ON t ("a\nb")', "t",
        taking(**{"c\u2028d": "string"}), {}, ["a\nb"], ["c\u2028d"], None),
    "missing optional input": (
        "CREATE TABLE t (id int PRIMARY KEY, text text)", "t", taking(text="string", age="long?"), {}, ["id"],
        ["text"], None),
    "arrays and jsonb": (
        "CREATE TABLE t (id int PRIMARY KEY, marks real[], info jsonb)", "t", taking(marks="array", info="object"), {},
        ["id"], ["marks", "info"], None),
    "generated, domain and enum": (
        "CREATE DOMAIN word AS text; CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE t (id int PRIMARY KEY, "
        "w word, m mood, twice int GENERATED ALWAYS AS (id * 2) STORED)", "t",
        taking(w="string", m="string", twice="integer"), {}, ["id"], ["w", "m", "twice"], None),
    "cursor by a trigger": (
        "CREATE TABLE t (id int PRIMARY KEY, text text, changed timestamptz NOT NULL DEFAULT now()); "
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN NEW.changed := now(); RETURN NEW; END$$; "
        "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()", "t", TEXT, {}, ["id"],
        ["text"], "changed"),
    "cursor that is only sometimes set": (
        "CREATE TABLE t (id int PRIMARY KEY, text text, changed timestamptz NOT NULL DEFAULT now()); "
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN IF NEW.text <> OLD.text THEN NEW.changed := now(); END IF; RETURN NEW; END$$; "
        "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()", "t", TEXT, {}, ["id"],
        ["text"], None),
    "cursor by default only": (
        "CREATE TABLE t (id int PRIMARY KEY, text text, made timestamptz NOT NULL DEFAULT now())", "t", TEXT, {},
        ["id"], ["text"], None),
    "cursor that is said": (
        "CREATE TABLE t (id int PRIMARY KEY, text text, made timestamptz NOT NULL DEFAULT now())", "t", TEXT,
        {"cursor": "made", "cron": "0 3 * * *"}, ["id"], ["text"], "made"),
    "1,000 columns": (
        "CREATE TABLE t (id int PRIMARY KEY, " + ", ".join(f"c{n} real" for n in range(999)) + ")", "t",
        taking(**{f"c{n}": "float" for n in range(500)}), {}, ["id"], [f"c{n}" for n in range(500)], None),
    "foreign table": (
        "CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; "
        "CREATE FOREIGN TABLE t (id int, text text) SERVER f OPTIONS (filename '/dev/null')", "t", TEXT,
        {"key": ("id",)}, ["id"], ["text"], None),
}  # fmt: skip


def raw(databases: Databases, statements: str) -> None:
    with databases.begin("predictions") as connection:
        connection.connection.cursor().execute(statements)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_table_of_this_shape_becomes_a_job_that_is_planned(company: Company, shape: str) -> None:
    statements, name, signature, given, key, inputs, cursor = SHAPES[shape]
    if "file_fdw" in statements and not sql(
        company.databases, "SELECT FROM pg_available_extensions WHERE name = 'file_fdw'"
    ):
        pytest.skip("this Postgres has no file_fdw")
    raw(company.databases, statements)

    job = company.planned(name, signature, **given)

    assert (list(job.source.key), list(job.source.inputs), job.source.cursor) == (key, inputs, cursor)
    assert (job.model.name, job.model.alias, job.owner, job.schedule.cron) == ("m", "champion", "me", given.get("cron"))


def test_the_file_says_why_and_what_else_there_is(company: Company) -> None:
    raw(company.databases, SHAPES["cursor by default only"][0])

    company.planned("t", taking(text="string", age="long?"))

    assert (
        company.text()
        == """\
# Made by `python -m inference jobs new j`. All fields: docs/job-file.md
name: j
description: "score of each row of public.t, by the model m."  # proposed: say what people get
owner: me  # as --owner says
source:
  connection: predictions  # Airflow's name of the database
  schema: public
  relation: t
  key: [id]  # the primary key
  inputs: [text]  # as the model's signature names them
  # Optional inputs without a column: age
  # where: "true"  # an SQL condition: the rows that the job is about; default: all
  # No cursor (a timestamptz that makes the search cheap): made has a default, which only inserts set; no trigger surely sets it at every update
  # on_delete: keep  # or delete: predictions whose row is gone
  # changes: hash  # or none: rows are only ever added, and updates are not seen
model:
  name: m
  alias: champion  # plan resolves it to a version, once a run
  # on_new_version: new_rows  # or rescore: score all rows again when the alias moves
# schedule:  # without it, runs start by hand
#   cron: "0 3 * * *"
#   time_zone: UTC
# cost: "1"  # for texts of mixed lengths: length(COLUMN) + 20
# history: none  # or append: keep superseded predictions
# runner: venv  # or docker, kubernetes: docs/containers.md
# max_parallel_shards: 2
# checks:  # what must hold before anything is visible
#   max_quarantine_rate: 0.01
"""
    )


def test_what_is_commented_out_are_fields_with_their_defaults(company: Company) -> None:
    raw(company.databases, SHAPES["cursor by a trigger"][0])
    job = company.new("t", TEXT)
    path = company.folder / "j.yaml"

    path.write_text(re.sub(r"^( *)# (?=( )*[a-z_]+:( |$))", r"\1", company.text(), flags=re.MULTILINE))

    uncommented = jobs_module.load(path)
    assert uncommented.source.where == "true"
    assert uncommented.schedule.cron == "0 3 * * *"
    assert uncommented.model_copy(update={"source": job.source, "schedule": job.schedule}) == job


# relation, signature, options, error and its text
REFUSALS: dict[str, tuple[str, str, Signature, dict[str, Any], type[InferenceError], str]] = {
    "no key": (
        "CREATE TABLE t (text text)", "t", TEXT, {}, SourceError,
        "--source: public.t has no primary key and no unique index, so that nothing tells its rows apart. Add one, such "
        "as: ALTER TABLE public.t ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY; or name columns "
        "that are unique and never NULL together: --key COLUMN,COLUMN"),
    "several unique indexes": (
        "CREATE TABLE t (a int NOT NULL UNIQUE, b int NOT NULL UNIQUE, text text)", "t", TEXT, {}, RequestError,
        "1 question(s), and no terminal to ask on:\n  Which columns are the key of public.t? a (unique index t_a_key); "
        "b (unique index t_b_key). Answer with --key COLUMN,COLUMN"),
    "a unique index with NULLs": (
        "CREATE TABLE t (a int UNIQUE, text text)", "t", TEXT, {}, RequestError,
        "1 question(s), and no terminal to ask on:\n  Which columns are the key of public.t? Its columns may be NULL by "
        "the catalog; a key is never NULL. a (unique index t_a_key). Answer with --key COLUMN,COLUMN"),
    "view without a key": (
        "CREATE TABLE b (id int PRIMARY KEY, text text); CREATE VIEW t AS SELECT x.id, y.text FROM b x, b y", "t", TEXT,
        {}, RequestError,
        "1 question(s), and no terminal to ask on:\n  public.t is a view: which of its columns are unique and never NULL "
        "together (id, text)? Answer with --key COLUMN,COLUMN"),
    "view that multiplies rows": (
        "CREATE TABLE b (id int PRIMARY KEY, texts text[]); CREATE VIEW t AS SELECT id, unnest(texts) AS text FROM b",
        "t", TEXT, {}, RequestError,
        "1 question(s), and no terminal to ask on:\n  public.t is a view: which of its columns are unique and never NULL "
        "together (id, text)? Answer with --key COLUMN,COLUMN"),
    "missing input": (
        "CREATE TABLE t (id int PRIMARY KEY, title text)", "t", TEXT, {}, SourceError,
        "m version 1 does not fit public.t as it is; nothing is cast silently:\n  input 'text' (string): there is no such "
        "column; public.t has: id, title\nAdd what is missing, in a view or in the table, or let the model do without it"),
    "several columns named like it": (
        'CREATE TABLE t (id int PRIMARY KEY, "Text" text, "TEXT" text)', "t", TEXT, {}, SourceError,
        "m version 1 does not fit public.t as it is; nothing is cast silently:\n  input 'text' (string): several columns "
        'are named like it: "Text", "TEXT"\nAdd what is missing, in a view or in the table, or let the model do without '
        "it"),
    "no such cast": (
        "CREATE TABLE t (id int PRIMARY KEY, text point)", "t", taking(text="double"), {}, SourceError,
        "m version 1 does not fit public.t as it is; nothing is cast silently:\n  input 'text' (double): column text is "
        "point, and it takes float4, float8, int2, int4; no cast makes that of it\nAdd what is missing, in a view or in "
        "the table, or let the model do without it"),
    "output of a reserved name": (
        "CREATE TABLE t (id int PRIMARY KEY, text text)", "t", taking((Output("error", "text", True),), text="string"),
        {}, ModelError,
        "m version 1: output 'error': is named like a column that the pipeline adds (error, input_hash, is_current, "
        "message, model_id, model_name, model_version, ordinal, outcome, predicted_at, run_id). Rename it in the model"),
    "relation that is not there": (
        "CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)", "Customer", TEXT, {},
        SourceError,
        "--source: connection 'predictions' has no table or view public.\"Customer\". Is it one of these: "
        "public.customers? Capitals and blanks count"),
    "schema that is not there": (
        "CREATE TABLE customers (id int PRIMARY KEY)", "shop.x", TEXT, {}, SourceError,
        "--source: connection 'predictions' has no table or view shop.x. Schema shop has none; the schemas with tables "
        "are: public"),
    "connection that is not there": (
        "SELECT", "crm:public.t", TEXT, {}, ConfigurationError,
        "connection 'crm': no address. Set AIRFLOW_CONN_CRM=postgresql://user:password@host/database, or add a connection "
        "'crm' in Airflow."),
    "no relation's name": (
        "SELECT", "a.b.c", TEXT, {}, RequestError,
        "--source 'a.b.c': is not [CONNECTION:][SCHEMA.]RELATION. Write a name with a dot, a colon or a quote in double "
        "quotes, and the whole in single ones for the shell: --source 'shop.\"odd.name\"'"),
    "no job's name": (
        "SELECT", "t", TEXT, {"name": "run"}, RequestError, "'run' cannot be a job's name: names a part of the"),
    "key that is no column": (
        "CREATE TABLE t (id int PRIMARY KEY, text text)", "t", TEXT, {"key": ("x",)}, RequestError,
        "--key: 'x' is no column of public.t, which has: id, text"),
    "cursor that is no moment": (
        "CREATE TABLE t (id int PRIMARY KEY, text text)", "t", TEXT, {"cursor": "text"}, RequestError,
        "--cursor: 'text' is no column of public.t of type timestamptz that may be read; such are: none"),
    "cron": (
        "CREATE TABLE t (id int PRIMARY KEY, text text)", "t", TEXT, {"cron": "never"}, InferenceError,
        "j.yaml: 1 error(s)\n  schedule.cron: 'never': not a cron expression of five fields, such as `*/10 * * * *`"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_what_does_not_fit_is_said_with_the_way_out(company: Company, what: str) -> None:
    statements, name, signature, given, error, words = REFUSALS[what]
    raw(company.databases, statements)

    text = company.refused(error, name, signature, **given)

    assert text == words or (what == "no job's name" and text.startswith(words))


@pytest.mark.parametrize(
    ("table", "signature"),
    [
        ("id int PRIMARY KEY, amount numeric", taking(amount="double")),
        ("id int PRIMARY KEY, amount double precision, n bigint", taking(amount="float", n="integer")),
        ('id int PRIMARY KEY, "firstName" text', taking(first_name="string")),
        (f'id int PRIMARY KEY, "{unicodedata.normalize("NFD", "이름")}" text', taking(**{"이름": "string"})),
        ("id int PRIMARY KEY, at text, info text", taking(at="datetime", info="object")),
        ("id int PRIMARY KEY, score text, amount real", taking(amount="float", score="string")),
        ("score int PRIMARY KEY, amount real", taking(amount="float")),
        ("run_id int PRIMARY KEY, amount real", taking(amount="float")),
        ("score int PRIMARY KEY, amount real", taking(amount="float", score="integer")),
        ("id bigint PRIMARY KEY, amount real", taking(amount="float", id="double")),
    ],
)  # fmt: skip
def test_the_view_of_the_error_makes_it_fit(company: Company, table: str, signature: Signature) -> None:
    raw(company.databases, f"CREATE TABLE t ({table})")
    try:
        company.planned("t", signature)
    except SourceError as error:
        text = str(error)
    else:
        assert table.startswith("id int PRIMARY KEY, score")  # an input may be named like an output
        return

    view = text[text.index("CREATE VIEW") :]
    raw(company.databases, view)
    job = company.planned("public.j_source", signature)
    assert set(job.source.inputs) == {item.name for item in signature.inputs}
    assert len(job.source.key) == 1


def test_columns_that_the_role_may_not_read_are_named_with_the_grant(
    company: Company, postgres: Postgres, database_url: str
) -> None:
    raw(company.databases, "CREATE TABLE t (id int PRIMARY KEY, text text, secret text); CREATE TABLE hidden (id int)")
    role = "clerk_of_new_jobs"
    raw(company.databases, f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT (id, text) ON t TO {role}")
    url = company.databases.url("predictions").set(username=role, password="x").render_as_string(False)
    company.databases = Databases({"predictions": database_url, "crm": url})
    try:
        text = company.refused(SourceError, "crm:t", taking(text="string", secret="string"))
        hidden = company.refused(SourceError, "crm:hidden", TEXT)
        company.model(TEXT)
        job = company.new("crm:t")
    finally:
        company.databases = Databases({"predictions": database_url})
        raw(company.databases, f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert (
        "  input 'secret' (string): role clerk_of_new_jobs may not read that column. As the owner: "
        "GRANT SELECT (secret) ON public.t TO clerk_of_new_jobs;\n"
    ) in text
    assert hidden == (
        "--source: connection 'crm': role clerk_of_new_jobs may not read public.hidden. As its owner: "
        "GRANT SELECT ON public.hidden TO clerk_of_new_jobs;"
    )
    assert (job.source.connection, job.source.inputs) == ("crm", ("text",))


def test_the_source_may_be_in_another_database(company: Company, postgres: Postgres, database_url: str) -> None:
    postgres.create_database("crm_of_new_jobs")
    try:
        company.databases = Databases({"predictions": database_url, "crm": postgres.url("crm_of_new_jobs")})
        sql(company.databases, "CREATE TABLE t (id int PRIMARY KEY, text text)", "crm")

        job = company.planned("crm:public.t", TEXT)
    finally:
        postgres.drop_database("crm_of_new_jobs")

    assert (job.source.connection, job.source.schema_name, job.source.relation) == ("crm", "public", "t")


def test_all_questions_are_said_at_once(company: Company) -> None:
    raw(company.databases, "CREATE TABLE t (a int NOT NULL UNIQUE, b int NOT NULL UNIQUE, text text)")
    company.model(TEXT, pickled=True)
    company.registry.aliases = {"old": "1"}

    with pytest.raises(RequestError) as raised:
        company.new("t")

    assert str(raised.value) == (
        "3 question(s), and no terminal to ask on:\n"
        "  A job follows an alias, so that a new version needs no edit: 'champion' of model 'm' is not there; the model "
        "has: old (version 1). Shall 'champion' mean version 2? If so: --set-alias or --model 'm@old'\n"
        "  m version 2 is loaded by unpickling, which can run any code of whoever logged it. Do you trust them? If so: "
        "--allow-pickle (or log it as code with safetensors weights, which runs none)\n"
        "  Which columns are the key of public.t? a (unique index t_a_key); b (unique index t_b_key). Answer with --key "
        "COLUMN,COLUMN"
    )
    assert company.registry.aliases == {"old": "1"}
    job = company.new("t", key=("a",), allow_pickle=True, set_alias=True)
    assert (job.model.allow_pickle, company.registry.aliases) == (True, {"old": "1", "champion": "2"})


def test_models_that_are_not_there_are_told_from_those_that_are(company: Company) -> None:
    raw(company.databases, "CREATE TABLE t (id int PRIMARY KEY, text text)")
    register = (
        "Register one where it is trained: mlflow.<flavor>.log_model(..., registered_model_name=NAME), or from a folder "
        "with train.py: python -m inference models register FOLDER --name NAME"
    )

    assert company.refused(ModelError, "t", TEXT, model="x") == (
        f"--model: MLflow at http://127.0.0.1:9 has no model 'x'; there are: m. {register}"
    )
    assert company.refused(RequestError, "t", TEXT, model=None) == (
        "1 question(s), and no terminal to ask on:\n  Which model scores the rows? m. Answer with --model MODEL[@ALIAS]"
    )
    company.registry.models = []
    assert company.refused(RequestError, "t", TEXT, model=None) == (
        f"--model: MLflow at http://127.0.0.1:9 has no model yet. {register}"
    )


def test_a_version_needs_an_alias(company: Company) -> None:
    raw(company.databases, "CREATE TABLE t (id int PRIMARY KEY, text text)")
    company.registry.aliases = {"champion": "1", "next": "2"}

    text = company.refused(RequestError, "t", TEXT, model="m:nine")
    assert text == "--model 'm:nine': is not MODEL, MODEL@ALIAS or MODEL:VERSION"
    assert company.new("t", model="m:2").model.alias == "next"
    company.registry.aliases = {"champion": "1"}
    with pytest.raises(RequestError) as raised:
        company.new("t", model="m:2", force=True)

    assert str(raised.value) == (
        "1 question(s), and no terminal to ask on:\n  A job follows an alias, so that a new version needs no edit: "
        "'champion' of model 'm' is now version 1; the model has: champion (version 1). Shall 'champion' mean version 2? "
        "If so: --set-alias"
    )


def test_a_file_that_is_there_stays_unless_it_is_forced(company: Company) -> None:
    raw(company.databases, "CREATE TABLE t (id int PRIMARY KEY, text text)")
    company.model(TEXT)
    (company.folder / "j.yaml").write_text("mine")

    with pytest.raises(RequestError, match=r"j\.yaml is there already; give the job another name, or replace"):
        company.new("t")

    assert company.text() == "mine"
    company.new("t", force=True)
    assert yaml.safe_load(company.text())["name"] == "j"


@pytest.fixture
def served(company: Company) -> Iterator[str]:
    """The address of a server that answers as the company's registry."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, values: dict[str, Any]) -> None:
            path = urlsplit(self.path).path.removeprefix("/api/2.0/mlflow/")
            body = json.dumps(company.registry.call(self.command, path, **values)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_on_a_terminal_it_asks_and_goes_by_the_answers(company: Company, served: str) -> None:
    raw(company.databases, "CREATE TABLE t (a int NOT NULL UNIQUE, b int NOT NULL UNIQUE, text text)")
    company.model(TEXT, pickled=True)
    company.registry.aliases = {}
    url = company.databases.url("predictions").render_as_string(False)
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "inference", "jobs", "new", "j", "--source", "t", "--owner", "me",
         "--folder", str(company.folder)],
        stdin=there, stdout=there, stderr=there, close_fds=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "AIRFLOW_CONN_PREDICTIONS": url, "MLFLOW_TRACKING_URI": served},
    )  # fmt: skip
    os.close(there)
    answers = [
        ("Which: ", "1"),
        ("[y/N]: ", "y"),
        ("[y/N]: ", "y"),
        ("Which: ", "7"),
        ("Which: ", "2"),
        ("[y/N]: ", "n"),
    ]
    screen, start = "", 0
    try:
        while True:
            try:
                read = os.read(here, 4096)
            except OSError:  # what a terminal says when the other side has closed it
                break
            screen += read.decode()
            if answers and answers[0][0] in screen[start:]:
                start = len(screen)
                os.write(here, answers.pop(0)[1].encode() + b"\n")
        assert process.wait(timeout=30) == 0, screen
    finally:
        process.kill()
        process.wait()
        os.close(here)

    assert (
        screen.replace("\r\n", "\n")
        == f"""\
Which model scores the rows?
  1  m
Which: 1
A job follows an alias, so that a new version needs no edit: 'champion' of model 'm' is not there; the model has: no alias. Shall 'champion' mean version 2? [y/N]: y
m version 2 is loaded by unpickling, which can run any code of whoever logged it. Do you trust them? [y/N]: y
Which columns are the key of public.t?
  1  a (unique index t_a_key)
  2  b (unique index t_b_key)
Which: 7
A number from 1 to 2
Which: 2
wrote {company.folder}/j.yaml; read its comments
Show ten samples now? This makes the model's environment, and writes no prediction [y/N]: n
next:
  python -m inference run j --folder {company.folder}
  psql "$AIRFLOW_CONN_PREDICTIONS" -c 'SELECT * FROM prediction.j LIMIT 10'
If that folder is Airflow's, its DAG j is there within seconds: un-pause it.
"""
    )
    job = jobs_module.load(company.folder / "j.yaml")
    assert (job.source.key, job.model.allow_pickle, company.registry.aliases) == (("b",), True, {"champion": "2"})


def test_a_dry_run_follows_where_it_is_asked_for(
    company: Company, served: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw(company.databases, "CREATE TABLE t (id int PRIMARY KEY, text text)")
    company.model(TEXT)
    monkeypatch.setenv("AIRFLOW_CONN_PREDICTIONS", company.databases.url("predictions").render_as_string(False))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served)
    asked: list[tuple[str, bool]] = []

    def run(databases: Databases, job: Job, request: Request, *_: Any) -> Verdict:
        asked.append((job.name, request.dry_run))
        return Verdict(1, "empty", "ten samples")

    monkeypatch.setattr(pipeline, "run", run)
    for options in (["--dry-run"], ["--no-dry-run", "--force"]):
        arguments = ["jobs", "new", "j", "--source", "t", "--model", "m", "--folder", str(company.folder), *options]
        monkeypatch.setattr(sys, "argv", ["inference", *arguments])
        with pytest.raises(SystemExit) as left:
            app.main()
        assert not left.value.code

    assert asked == [("j", True)]
    assert capsys.readouterr().out.count("ten samples\nnext:\n") == 1


def test_a_schema_that_is_too_old_says_how_to_upgrade_it(postgres: Postgres, tmp_path: Path) -> None:
    postgres.create_database("empty_of_new_jobs")
    try:
        company = Company(Databases({"predictions": postgres.url("empty_of_new_jobs")}), tmp_path)
        with pytest.raises(ConfigurationError, match=r"is at migration none.* Run: python -m inference db upgrade$"):
            company.new("t")
    finally:
        postgres.drop_database("empty_of_new_jobs")


@pytest.mark.parametrize(
    ("body", "trigger", "cursor"),
    [
        ("BEGIN NEW.changed = CURRENT_TIMESTAMP; RETURN NEW; END", "BEFORE INSERT OR UPDATE", True),
        ('BEGIN new."changed" := clock_timestamp(); RETURN new; END', "BEFORE UPDATE", True),
        ("BEGIN /* NEW.changed := now(); */ RETURN NEW; END", "BEFORE UPDATE", False),
        ("BEGIN NEW.changed := OLD.changed; RETURN NEW; END", "BEFORE UPDATE", False),
        ("BEGIN NEW.changed := now(); NEW.changed := OLD.changed; RETURN NEW; END", "BEFORE UPDATE", False),
        ("BEGIN NEW.changed := now(); RETURN OLD; END", "BEFORE UPDATE", False),
        ("BEGIN NEW.changed := now(); RETURN NEW; END", "BEFORE UPDATE OF text", False),
        ("BEGIN NEW.changed := now(); RETURN NEW; END", "AFTER UPDATE", False),
        ("BEGIN NEW.changed := now(); RETURN NEW; END", "BEFORE INSERT", False),
    ],
)
def test_a_cursor_is_proposed_only_where_a_trigger_surely_sets_it(
    company: Company, body: str, trigger: str, cursor: bool
) -> None:
    raw(
        company.databases,
        "CREATE TABLE t (id int PRIMARY KEY, text text, changed timestamptz NOT NULL DEFAULT now()); "
        f"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $${body}$$; "
        f"CREATE TRIGGER touch {trigger} ON t FOR EACH ROW EXECUTE FUNCTION touch()",
    )

    assert company.new("t", TEXT).source.cursor == ("changed" if cursor else None)


def tensor(dtype: str, *shape: int, name: str = "") -> Signature:
    return Signature((Input(name, "tensor", dtype, True, shape=(-1, *shape)),), SCORE)


def unnamed(*kinds: str, **properties: str) -> Signature:
    declared = {"type": "object", "properties": {name: {"type": kind} for name, kind in properties.items()}}
    return Signature(
        tuple(Input("", kind, DTYPES[kind], True, declared if properties else None) for kind in kinds), SCORE
    )


POSITIONS: dict[str, tuple[str, Signature, list[str]]] = {
    "a tensor of as many columns as there are": (
        "(id bigint PRIMARY KEY, b real, a real, note text, c real)", tensor("float32", 3), ["b", "a", "c"]
    ),
    "a tensor from the one array column": (
        "(id bigint PRIMARY KEY, name text, vector real[])", tensor("float32", 384), ["vector"]
    ),
    "a named tensor": ("(id bigint PRIMARY KEY, x float8, y float8)", tensor("float64", 2, name="input"), ["x", "y"]),
    "one text without a name": ("(id bigint PRIMARY KEY, n int, message text)", unnamed("string"), ["message"]),
    "a record from columns": (
        "(id bigint PRIMARY KEY, stars bigint, title text, other text)",
        unnamed("object", title="string", stars="long"), ["stars", "title"],
    ),
    "a record from JSON": (
        "(id bigint PRIMARY KEY, title text, content jsonb)", unnamed("object", name="string"), ["content"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", POSITIONS)
def test_inputs_without_names_are_found_by_type_where_that_is_clear(company: Company, what: str) -> None:
    table, signature, inputs = POSITIONS[what]
    sql(company.databases, f"CREATE TABLE message {table}")

    job = company.planned("message", signature)

    assert list(job.source.inputs) == inputs


@pytest.mark.parametrize(
    ("table", "signature", "error", "words"),
    [
        ("(id bigint PRIMARY KEY, a text, b text)", unnamed("string"), RequestError,
         "Which column is the string that the model takes? a (text); b (text). Answer with --inputs COLUMN"),
        ("(id bigint PRIMARY KEY, a real, b real, c real)", tensor("float32", 2), RequestError,
         "The model takes a tensor of float32, 2 value(s) a row, in their order. public.message has: a real, b real, c real. "
         "Which columns, with commas between? Answer with --inputs COLUMN,COLUMN"),
        ("(id bigint PRIMARY KEY, a real, b text)", unnamed("double", "string"), RequestError,
         "The model takes 2 inputs without names. public.message has: a real, b text."),
        ("(id bigint PRIMARY KEY, n bigint)", unnamed("string"), SourceError,
         "the model takes one string without a name: no column beside the key is of type"),
        ("(id bigint PRIMARY KEY, n text)", tensor("float32", 2), SourceError,
         "the model takes a tensor of float32, 2 value(s) a row: no column beside the key is of type float4, float4[]"),
    ],
)  # fmt: skip
def test_inputs_without_names_are_asked_for_where_it_is_not_clear(
    company: Company, table: str, signature: Signature, error: type[InferenceError], words: str
) -> None:
    sql(company.databases, f"CREATE TABLE message {table}")

    assert words in company.refused(error, "message", signature)


def test_the_answer_of_a_flag_is_the_order(company: Company) -> None:
    sql(company.databases, "CREATE TABLE message (id bigint PRIMARY KEY, a real, b real, c real, d float8)")

    assert company.planned("message", tensor("float32", 2), inputs=("c", "a")).source.inputs == ("c", "a")
    with pytest.raises(ModelError, match="column 'd' is double precision, and the model takes a tensor of float32"):
        company.new("message", inputs=("c", "d"), force=True)
