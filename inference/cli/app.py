"""`python -m inference`: the same functions that the DAG calls, for people and scripts.

Exit codes: 0 done; 1 a bug, with its stack trace; 2 wrong input; 65 failed, and trying again cannot help;
66 a later run or attempt has taken over; 75 failed, and trying again may help.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from inference import pipeline
from inference.base import log_lines
from inference.base.database import Databases, passing, remedy, said
from inference.cli import db, image, jobs, maintenance, models, terminal
from inference.cli.options import JOBS, Folder, JobName, Json, RunId, find
from inference.errors import InferenceError, PermanentError, RequestError, Unavailable
from inference.jobs.request import Request, parse
from inference.operations import metrics, quarantine, status
from inference.publishing import publish as publishing
from inference.schema import migrate
from inference.schema.lease import Caller

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__, rich_markup_mode=None, pretty_exceptions_enable=False
)
quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that a model could not score.")
app.add_typer(db.app, name="db")
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(image.app, name="image")
app.add_typer(maintenance.app)


def main() -> int:
    """Run the command line; returns the exit code of an error, and leaves by SystemExit otherwise."""
    try:
        logging.basicConfig(level=logging.INFO, handlers=[log_lines.handler(sys.stderr)])
        app()
    except InferenceError as error:
        print(log_lines.error(error), file=sys.stderr)
        return error.exit_code
    except Exception as error:
        way_out = remedy(error)
        if not passing(error) and not way_out:
            raise
        says = f"{said(error)}. {way_out}" if way_out else f"the database went away: {said(error)}"
        print(log_lines.error(says), file=sys.stderr)
        return PermanentError.exit_code if way_out else Unavailable.exit_code
    return 0


@app.command("plan", epilog="Example: python -m inference plan intent --row-limit 1000")
def plan_job(
    name: JobName,
    mode: Annotated[str, typer.Option(help="pending, rescore, key_range or replay.")] = "pending",
    model_version: Annotated[str | None, typer.Option("--model", help="A version or an alias.")] = None,
    row_limit: Annotated[int | None, typer.Option(help="Plan at most so many rows.")] = None,
    key_from: Annotated[str | None, typer.Option(help="First key of a range.")] = None,
    key_to: Annotated[str | None, typer.Option(help="Last key of a range.")] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Stop before anything is visible.")] = False,
    folder: Folder = JOBS,
    as_json: Json = False,
) -> None:
    """Find the pending rows and write the work list; `shard`, `check` and `publish` are the next steps."""
    request = _request(mode, model_version, row_limit, key_from, key_to, False, hold)
    planned = pipeline.plan(Databases(), find(name, folder), request, Caller.command_line())
    terminal.show([asdict(planned)], as_json)


@app.command("run", epilog="Example: python -m inference run intent --row-limit 1000")
def run_job(
    name: JobName,
    mode: Annotated[str, typer.Option(help="pending, rescore, key_range or replay.")] = "pending",
    model_version: Annotated[str | None, typer.Option("--model", help="A version or an alias.")] = None,
    row_limit: Annotated[int | None, typer.Option(help="Plan at most so many rows.")] = None,
    key_from: Annotated[str | None, typer.Option(help="First key of a range.")] = None,
    key_to: Annotated[str | None, typer.Option(help="Last key of a range.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, estimate, show 10 samples.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Stop before anything is visible.")] = False,
    folder: Folder = JOBS,
    as_json: Json = False,
) -> None:
    """Run a job from plan to publish in this process, without Airflow."""
    request = _request(mode, model_version, row_limit, key_from, key_to, dry_run, hold)
    databases, say = Databases(), logging.getLogger(__name__).info
    ended = pipeline.run(databases, find(name, folder), request, say, terminal.watch(databases))
    if as_json:
        terminal.show([asdict(ended)], as_json)
    else:
        print(ended.message)


@app.command("shard", epilog="Example: python -m inference shard --run 17 --generation 1 --shard 3")
def shard_help() -> None:
    """Score one shard of a planned run; runs inside the model's environment."""
    raise AssertionError("inference/__main__.py answers this command")


@app.command("check", epilog="Example: python -m inference check 17")
def check_run(run_id: RunId) -> None:
    """Judge the results of a planned run whose shards are done."""
    print(pipeline.check(Databases(), run_id).message)


@app.command("publish", epilog="Example: python -m inference publish 17")
def publish_run(run_id: RunId) -> None:
    """Make the results of a checked run visible, and report it."""
    print(pipeline.publish(Databases(), run_id).message)
    pipeline.report(Databases(), run_id)


@app.command("status", epilog="Example: python -m inference status intent")
def show_status(
    name: Annotated[str | None, typer.Argument(help="One job; all without it.")] = None,
    limit: Annotated[int, typer.Option(help="Runs to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Show jobs (live version, how fresh, what is pending) and their latest runs."""
    databases = Databases()
    migrate.require(databases)
    jobs, runs = status.jobs(databases, name), status.runs(databases, name, limit)
    if as_json:
        print(json.dumps({"jobs": jobs, "runs": runs}, default=str))
        return
    terminal.show([{key: row[key] for key in _STATUS} for row in jobs], False)
    terminal.show(runs, False)


_STATUS = (
    "job", "last_run", "last_state", "pending", "quarantined", "fresh_to", "model_name", "model_version", "last_message"
)  # fmt: skip


@app.command("metrics", epilog="Example: python -m inference metrics --port 9464")
def serve_metrics(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 9464,
    host: Annotated[str, typer.Option(help="Address to listen on; there is no password.")] = "127.0.0.1",
) -> None:
    """Serve Prometheus the metrics of all jobs at /metrics, until SIGTERM."""
    metrics.serve(Databases(), host, port)


@app.command("release", epilog="Example: python -m inference release 17")
def release(run_id: RunId) -> None:
    """Let a held run go on: publish it, or allow the next run to plan as many rows."""
    print(publishing.release(Databases(), run_id))
    pipeline.report(Databases(), run_id)


@app.command("discard", epilog="Example: python -m inference discard 17")
def discard(run_id: RunId) -> None:
    """End a held run without publishing it."""
    print(publishing.discard(Databases(), run_id))


@quarantine_app.command("list", epilog="Example: python -m inference quarantine list intent --json")
def quarantine_list(
    name: Annotated[str | None, typer.Argument(help="One job; all without it.")] = None,
    limit: Annotated[int, typer.Option(help="Entries to show.")] = 50,
    run_id: Annotated[
        int | None, typer.Option("--run", help="Of a run that failed or is held, before it ends.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the rows in quarantine with the error of each."""
    databases = Databases()
    found = quarantine.staged(databases, run_id, limit) if run_id else quarantine.entries(databases, name, limit)
    terminal.show(found, as_json)


Keys = Annotated[list[str] | None, typer.Option("--key", help="First key column of an entry; may be repeated.")]
All = Annotated[bool, typer.Option("--all", help="All entries of the job.")]


@quarantine_app.command("replay", epilog="Example: python -m inference quarantine replay intent --all")
def quarantine_replay(name: JobName, key: Keys = None, everything: All = False) -> None:
    """Mark entries, so that the job's next run scores those rows again, by whatever version is live then."""
    count = quarantine.replay(Databases(), name, _chosen(key, everything))
    print(f"{count} entries marked; the next run of {name} tries them (at once: run {name} --mode replay)")


@quarantine_app.command("drop", epilog="Example: python -m inference quarantine drop intent --key 42")
def quarantine_drop(name: JobName, key: Keys = None, everything: All = False) -> None:
    """Forget entries. A row that still exists is pending again at the next sweep."""
    print(f"{quarantine.drop(Databases(), name, _chosen(key, everything))} entries dropped")


def _chosen(keys: list[str] | None, everything: bool) -> list[str] | None:
    if bool(keys) == everything:
        raise RequestError("say which entries: --key K (may be repeated), or --all")
    return keys


def _request(
    mode: str, version: str | None, limit: int | None, key_from: str | None, key_to: str | None, dry: bool, hold: bool
) -> Request:
    values = {"mode": mode, "model": version, "row_limit": limit, "key_from": key_from, "key_to": key_to}
    return parse({**values, "dry_run": dry, "publish": "hold" if hold else "publish"})
