"""A job file from a registered model and a relation: what fits is written, what does not is said with the way out."""

from __future__ import annotations

import getpass
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Connection

from inference.authoring import cursor_choice, input_choice, job_text, key_choice, model_choice, new_view, relation
from inference.authoring.input_choice import Inputs
from inference.authoring.questions import Questions
from inference.authoring.relation import Relation, quoted
from inference.base import matching, queries, source
from inference.base.database import PREDICTIONS, Databases
from inference.errors import ModelError, RequestError, SourceError
from inference.jobs import job as jobs_module
from inference.jobs import sql_expression
from inference.jobs.field_types import JobName
from inference.jobs.job import Job, section
from inference.models import model_version
from inference.models.mlflow_rest import Registry
from inference.models.model_version import Model
from inference.planning import output_checks
from inference.schema import job_tables, migrate

SQL = queries.load("authoring/new_job")


@dataclass(frozen=True)
class Given:
    """What the command line says of a new job; empty where it is to be found out."""

    name: str
    source: str
    model: str | None = None
    key: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    cursor: str | None = None
    cron: str | None = None
    owner: str | None = None
    description: str | None = None
    allow_pickle: bool = False
    set_alias: bool = False
    force: bool = False


def make(databases: Databases, registry: Registry, given: Given, folder: Path, questions: Questions) -> Job:
    """Write the job file and return the job, which plan would take as it is; nothing is written otherwise.

    Raises RequestError with all open questions, SourceError or ModelError with what is in the way.
    """
    path = _path(given, folder)
    name = relation.parse(given.source)
    databases.url(name.connection)
    migrate.require(databases)
    chosen = model_choice.choose(registry, given.model, given.set_alias, questions)
    found = model_version.meet(databases, registry, chosen.version) if chosen else None
    owner = _owner(given.owner, questions)
    pickled = found is not None and _pickled(found, given.allow_pickle, questions)
    with databases.begin(name.connection) as there:
        queries.run(there, SQL["wait_for_answers"])
        where = relation.find(there, name)
        key, why_key = key_choice.choose(there, where, given.key, questions)
        if chosen is not None and found is not None:
            inputs = input_choice.choose(there, where, found.artifact.signature, tuple(key), given.inputs, questions)
            _refuse(given.name, where, key, inputs, found)
        questions.require_answers()
        assert chosen is not None
        assert found is not None
        cursor = cursor_choice.choose(there, where, given.cursor)
        outputs = ", ".join(item.name for item in found.artifact.signature.outputs[:10])
        decisions = job_text.Decisions(
            name=given.name,
            description=given.description or f"{outputs} of each row of {name}, by the model {chosen.name}.",
            owner=owner,
            connection=name.connection,
            schema=name.schema,
            relation=name.relation,
            key=(key, why_key),
            inputs=inputs.columns,
            left_out=inputs.left_out,
            cursor=cursor,
            model=chosen.name,
            alias=(chosen.alias, chosen.reason),
            pickle=pickled,
            cron=given.cron,
        )
        text = job_text.write(decisions)
        job = _load(given.name, text)
        with databases.begin(PREDICTIONS) as here:
            _try_out(here, there, job, found)
    with path.open("w" if given.force else "x", encoding="utf-8") as file:
        file.write(text)
    return job


def _path(given: Given, folder: Path) -> Path:
    try:
        TypeAdapter(JobName).validate_python(given.name)
    except ValidationError as error:
        says = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise RequestError(f"{given.name!r} cannot be a job's name: {says}") from None
    path = folder / f"{given.name}.yaml"
    if path.exists() and not given.force:
        raise RequestError(f"{path} is there already; give the job another name, or replace the file with --force")
    return path


def _owner(given: str | None, questions: Questions) -> tuple[str, str]:
    if given:
        return given, "as --owner says"
    try:
        asked = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.strip():
            return asked.stdout.strip(), "proposed by git config user.name: who answers for this job"
    except OSError:
        pass
    try:
        return getpass.getuser(), "proposed by the name of this session's user: who answers for this job"
    except (OSError, KeyError, ImportError):
        return questions.text("Who answers for this job?", "--owner NAME"), "who answers for this job"


def _pickled(found: Model, allowed: bool, questions: Questions) -> bool:
    """Whether the job must allow pickles; a question unless somebody has said so."""
    if not found.artifact.pickled:
        return False
    question = f"{found} is loaded by unpickling, which can run any code of whoever logged it. Do you trust them?"
    flag = "--allow-pickle (or log it as code with safetensors weights, which runs none)"
    if not allowed and not questions.confirm(question, flag) and questions.terminal:
        raise RequestError(f"{found} is loaded by unpickling: a job cannot use it without --allow-pickle")
    return True


def _refuse(name: str, where: Relation, key: Sequence[str], inputs: Inputs, found: Model) -> None:
    """Raise SourceError or ModelError for what does not fit, all at once, with a view if one can help."""
    outputs = {item.name for item in found.artifact.signature.outputs}
    reserved = sorted(outputs & job_tables.RESERVED)
    if reserved:
        raise ModelError(
            f"{found}: output {', '.join(map(repr, reserved))}: is named like a column that the pipeline adds "
            f"({', '.join(sorted(job_tables.RESERVED))}). Rename it in the model"
        )
    taken = outputs | job_tables.RESERVED
    problems = list(inputs.problems)
    for part in key:
        if part in outputs:
            problems.append(f"key {quoted(part)}: the model has an output of that name")
        elif part in job_tables.RESERVED:
            problems.append(f"key {quoted(part)}: the pipeline adds a column of that name")
    if not problems:
        return
    lines = "\n".join(f"  {line}" for line in problems)
    says = f"{found} does not fit {where.name} as it is; nothing is cast silently:\n{lines}"
    if inputs.hopeless:
        raise SourceError(f"{says}\nAdd what is missing, in a view or in the table, or let the model do without it")
    if not key:
        raise SourceError(f"{says}\nA view can convert that; say its key for the text of the view: --key COLUMN,COLUMN")
    raise SourceError(f"{says}\n{new_view.advice(name, where, tuple(key), inputs, taken)}")


def _load(name: str, text: str) -> Job:
    """The job that the text says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return jobs_module.load(path)


def _try_out(here: Connection, there: Connection, job: Job, found: Model) -> None:
    """What plan checks before it looks for rows; it makes nothing that outlives the transaction."""
    columns = source.describe(there, section(job))
    sql_expression.check(there, section(job), job.cost)
    matching.match(found.artifact.signature, columns, list(job.source.inputs), str(found), job.model.nulls)
    outputs = found.artifact.signature.outputs
    output_checks.validate(here, job, outputs)
    savepoint = here.begin_nested()
    job_tables.try_out(here, job, columns, outputs, str(found))
    savepoint.rollback()
