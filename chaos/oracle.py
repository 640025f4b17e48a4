"""What must be true in the end, written apart from the pipeline: own SQL, own hash, own arithmetic of the model."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chaos.model import POISON
from chaos.scenario import HIDDEN

TEXT, NUMBERS = ["text", "amount"], ["amount", "price"]
LASTS = timedelta(seconds=3)  # a transaction of the writers, the late one apart


@dataclass(frozen=True)
class Prediction:
    key: int
    version: int
    input_hash: str | None
    run_id: int
    seen: tuple[Any, ...]  # the input that the model says it was given
    answer: Any


def input_hash(inputs: list[str], values: tuple[Any, ...]) -> str:
    """MD5 over the names and over the values as Postgres writes a row of them."""
    names = json.dumps([1, *inputs], ensure_ascii=False)
    text = names + "(" + ",".join(map(_field, values)) + ")"
    return str(uuid.UUID(hashlib.md5(text.encode()).hexdigest()))


def _field(value: Any) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    text = str(value)
    if text == "" or re.search(r'[\s"\\(),]', text):
        return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
    return text


def answer(version: int, inputs: list[str], values: tuple[Any, ...]) -> Any:
    if inputs == NUMBERS:
        return values[0] * version + values[1]
    return hashlib.sha256("/".join([str(version), values[0], str(values[1])]).encode()).hexdigest()


def predictions(cursor: Any) -> list[Prediction]:
    """What people see."""
    cursor.execute("SELECT * FROM prediction.chaos")
    names = [column.name for column in cursor.description]
    found = []
    for values in cursor.fetchall():
        row = dict(zip(names, values))
        seen = tuple(row[name] for name in ("seen_text", "seen_amount", "seen_price") if name in row)
        found.append(
            Prediction(
                row["id"], int(row["model_version"]), row["input_hash"], row["run_id"], seen,
                row["digest"] if "digest" in row else row["score"],
            )
        )  # fmt: skip
    return found


def judge_prediction(prediction: Prediction, inputs: list[str]) -> list[str]:
    """By itself: its hash is of the input that the model saw, and its answer the model's to that input."""
    violations = []
    if prediction.input_hash not in (None, input_hash(inputs, prediction.seen)):
        violations.append(f"row {prediction.key}: its hash is not of {prediction.seen}, which the model saw")
    if prediction.answer != answer(prediction.version, inputs, prediction.seen):
        violations.append(f"row {prediction.key}: {prediction.answer} is not what version {prediction.version} says")
    return violations


def judge(cursor: Any, source: Any, job: dict[str, Any], champion: int) -> list[str]:
    """All violations after the last run. `cursor`: of the predictions, `source`: of the company."""
    found = predictions(cursor)
    violations = judge_rows(cursor, source, job, champion)
    violations += [text for prediction in found for text in judge_prediction(prediction, job["source"]["inputs"])]
    keys = {prediction.key for prediction in found}
    if len(keys) != len(found):
        violations.append(f"{len(found) - len(keys)} rows are doubled")
    over = sorted(keys - _present(source, job, "infinity").keys())
    if over and job["source"]["on_delete"] == "delete":
        violations.append(f"predictions of {len(over)} deleted rows are left over: {over[:5]}")
    violations += _runs(cursor, found) + _history(cursor, job, found) + _leftovers(cursor)
    return violations + _vanished(cursor, source)


def judge_rows(cursor: Any, source: Any, job: dict[str, Any], version: int, before: Any = "infinity") -> list[str]:
    """Each row that is as it was at `before` has its prediction, or is in quarantine: so it is after every complete run
    that begins then, sweep or not."""
    present, by_key = _present(source, job, before), {prediction.key: prediction for prediction in predictions(cursor)}
    quarantined, violations = _quarantine(cursor)
    for key, values in present.items():
        violations += _row(job, key, values, by_key.get(key), quarantined.get(key), version)
    return violations


def complete(cursor: Any, since: datetime) -> tuple[str, int] | None:
    """`where` and the version of the last complete run that began after `since`; None if another one came after it."""
    cursor.execute(
        "SELECT r.complete, definition #>> '{source,where}', m.version::integer "
        "FROM prediction.run r JOIN prediction.model m USING (model_id) "
        "WHERE created_at > %s AND (complete OR state = 'published') ORDER BY finished_at DESC LIMIT 1",
        (since,),
    )
    found = cursor.fetchone()
    return found[1:] if found and found[0] else None


def _present(source: Any, job: dict[str, Any], before: Any) -> dict[int, tuple[Any, ...]]:
    """The inputs of the rows that the job is about, by key."""
    where = job["source"]["where"] or "true"
    source.execute(f"SELECT id, text, amount, price FROM message WHERE {where} AND updated_at < %s", (before,))
    rows = {row[0]: dict(zip(("id", "text", "amount", "price"), row)) for row in source.fetchall()}
    return {key: tuple(row[name] for name in job["source"]["inputs"]) for key, row in rows.items()}


def _vanished(cursor: Any, source: Any) -> list[str]:
    """No run counts a row as gone, or deletes its prediction, that was there all the time."""
    source.execute("SELECT at, late FROM departed")
    departed = source.fetchall()
    cursor.execute(
        "SELECT run_id, vanished, deleted, created_at, coalesce(finished_at, now()), definition #>> '{source,where}' "
        "FROM prediction.run WHERE state <> 'failed'"
    )
    violations = []
    for run, vanished, deleted, begun, ended, where in cursor.fetchall():
        before = [(at, late) for at, late in departed if at < ended]
        meanwhile = sum(late or at > begun - LASTS for at, late in before)
        if vanished > meanwhile:
            violations.append(f"run {run}: {vanished} rows vanished, and {meanwhile} were deleted meanwhile")
        allowed = len(before) + (HIDDEN if where else 0)
        if deleted > allowed:
            violations.append(f"run {run}: {deleted} predictions were deleted, and {allowed} rows at most were gone")
    return violations


def _quarantine(cursor: Any) -> tuple[dict[int, str | None], list[str]]:
    """Hash by key of the open entries, and entries of rows that the model does not refuse."""
    cursor.execute("SELECT key[1]::bigint, input_hash, state, error, message, run_id FROM prediction.quarantine")
    entries = cursor.fetchall()
    wrong = [
        f"row {key} was quarantined by run {run}: {error}: {message}"
        for key, _, _, error, message, run in entries
        if message != f"{POISON} cannot be scored"
    ]
    return {entry[0]: entry[1] for entry in entries if entry[2] == "open"}, wrong


def _row(
    job: dict[str, Any],
    key: int,
    values: tuple[Any, ...],
    prediction: Prediction | None,
    quarantined: Any,
    champion: int,
) -> list[str]:
    inputs = job["source"]["inputs"]
    hashed = None if job["source"]["changes"] == "none" else input_hash(inputs, values)
    if values[inputs.index("amount")] == POISON:
        if (prediction and prediction.seen == values) or quarantined != hashed:
            return [f"row {key} cannot be scored, and is not in quarantine with its present input"]
        return []
    if prediction is None:
        return [f"row {key} has no prediction"]
    violations = []
    if prediction.input_hash != hashed or prediction.seen != values:
        violations.append(f"row {key}: predicted from {prediction.seen} by run {prediction.run_id}, is {values} now")
    if job["model"]["on_new_version"] == "rescore" and prediction.version != champion:
        violations.append(f"row {key}: predicted by version {prediction.version}, the alias means {champion}")
    return violations


def _runs(cursor: Any, found: list[Prediction]) -> list[str]:
    """Coverage of every run adds up, and each has one version."""
    cursor.execute(
        "SELECT r.run_id, r.state, m.version::integer, planned, predicted, reused, quarantined, vanished, deferred "
        "FROM prediction.run r JOIN prediction.model m USING (model_id)"
    )
    runs = {row[0]: row for row in cursor.fetchall()}
    violations = []
    for run, state, _, planned, *parts in runs.values():
        if state == "published" and planned != sum(parts):
            violations.append(f"run {run}: {planned} rows were planned, {sum(parts)} accounted for")
        if state not in ("published", "empty", "failed", "superseded"):
            violations.append(f"run {run} is {state} in the end")
    visible = Counter(prediction.run_id for prediction in found)
    for run, rows in visible.items():
        if rows > runs[run][4] + runs[run][5]:
            violations.append(f"run {run}: {rows} rows are visible, {runs[run][4] + runs[run][5]} were published")
    for run, version in {(prediction.run_id, prediction.version) for prediction in found}:
        if runs[run][1] != "published" or runs[run][2] != version:
            violations.append(f"run {run} is {runs[run][1]} with version {runs[run][2]}, its rows say {version}")
    return violations


def _history(cursor: Any, job: dict[str, Any], found: list[Prediction]) -> list[str]:
    if job["history"] == "none":
        return []
    cursor.execute("SELECT id, run_id FROM prediction.chaos__history")
    times = Counter(cursor.fetchall()) + Counter((item.key, item.run_id) for item in found)
    return [f"row {key} is twice in the history of run {run}" for (key, run), count in times.items() if count > 1]


def _leftovers(cursor: Any) -> list[str]:
    """No work table, no lock, no session: whatever was killed has left nothing."""
    cursor.execute(
        "SELECT 'table ' || relname FROM pg_class WHERE relname ~ '^(work|result|gone)_' AND relkind = 'r' "
        "UNION ALL SELECT 'advisory lock of ' || pid FROM pg_locks WHERE locktype = 'advisory' "
        "UNION ALL SELECT 'session ' || application_name || ' ' || state || ' ' || left(query, 60) "
        "FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ ':|^prediction run' "
        "UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts"
    )
    return [f"left over: {row[0]}" for row in cursor.fetchall()]
