"""What a seed draws: the job, the runs, the faults and the points where they strike. Nothing here depends on time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from chaos import table

# Points that the proxy sees, and what of a block from the client tells them. The COMMIT that ends a transaction is a
# point of its own, named by the last point before it: `commit:advance` is the commit of a chunk.
POINTS = {
    "search": b'CREATE UNLOGGED TABLE "prediction_work"."work_',
    "gone": b'CREATE UNLOGGED TABLE "prediction_work"."gone_',
    "candidates": b"greatest(least(",  # of a source elsewhere; of one here they are part of `search`
    "lock": b"LIMIT 0",  # before a page, and before the search
    "result": b'CREATE UNLOGGED TABLE "prediction_work"."result_',
    "shards": b"INSERT INTO prediction.shard",
    "planned": b"jsonb_build_object('plan'",
    "begin": b"SET attempt = attempt + 1",
    "register": b"SET backends = backends ||",
    "page": b"LEFT JOIN (SELECT",
    "position": b"SELECT cursor, attempt FROM prediction.shard",
    "copy": b'COPY "prediction_work"."result_',
    "advance": b"SET cursor = ",
    "coverage": b"AS changed_at_read",
    "checked": b"jsonb_build_object('check'",
    "merge": b'__blue" AS p (',
    "published": b"SET state = 'published'",
}
STAGES = ("plan", "predict", "check", "publish")
# Points between the stages, told by the orchestrator: `after publish` comes before the report.
BOUNDARIES = ("after plan", "before check", "after check", "after publish")
# Where the company writes its table anew: before a statement that reads it, or a moment earlier.
READING_POINTS = {
    apart: ("lock", "lock", search, search, "page", "page", "page", "commit:page")
    for apart, search in ((False, "search"), (True, "candidates"))
}
SHARD_POINTS = ("begin", "register", "page", "commit:page", "position", "copy", "advance", "commit:advance")
PLAN_POINTS = ("search", "result", "shards", "planned", "commit:planned")
END_POINTS = ("coverage", "checked", "commit:checked", "merge", "published", "commit:published")
# Of the company's table, undone after a while. `take away`: rows are deleted, and come back.
ALTERATIONS = ("drop column", "change type", "take away")
ACTIONS = {
    "kill", "terminate", "stop", "crash", "kill -9", "kill -9 session", "cut", "stall", "slow", "registry down",
    "registry slow", "registry 500", "move alias", "delete version", "disk full", *ALTERATIONS, *table.REBUILDS,
}  # fmt: skip
# What retries alone must get over: the run of a caller that retries is published all the same.
PASSING = {
    "cut", "stall", "slow", "kill", "terminate", "stop", "registry slow", "move alias", "take away", *table.REBUILDS,
}  # fmt: skip
OTHER = "id > 40"  # the `where` of some jobs, or of some of their runs
HIDDEN = 40  # rows that it leaves out
BACK = 2  # the last digit of seeds whose runs go there and back
EVER = 10_000  # hits; a fault that lasts so long lasts to the end of its episode


@dataclass(frozen=True)
class Fault:
    """`action` at the `nth` time that `point` is reached; what lasts, lasts for `hits` further points."""

    action: str
    point: str
    nth: int = 1
    moment: str = "before"  # `before`, in the `middle` or `after` Postgres has got the message
    hits: int = EVER

    def __str__(self) -> str:
        number = f" {self.nth}" if self.nth > 1 else ""
        return f"{self.action} {self.moment} {self.point}{number}"


Kind = Callable[[random.Random, int], Fault]


@dataclass(frozen=True)
class Episode:
    """One run, or two at once, with what strikes it."""

    faults: tuple[Fault, ...]
    caller: str  # `airflow` or `command line`
    rival: bool  # a run of the other caller at the same time
    twice: str  # the stage whose task is started twice at once, or nothing
    survivor: str  # what is done after the orchestrator was killed: `resume`, `clear` or `abandon`
    orphans: bool  # whether shards outlive their orchestrator, as containers do
    edited: float  # share of the rows that the company edits before it, all at once
    passed: str  # time that goes by between that and the run
    ahead: str  # how far the clock of the source is ahead, from the edits to the end of the run
    request: dict[str, Any]
    differs: dict[str, Any]  # the job's `where` and `on_new_version`, if they are others for this run
    champion: int | None  # the version that the alias is moved to before it
    ending: str  # what a person does with the run, which is held then: `release`, `discard`, or nothing
    again: bool  # whether a shard of a run that is over is started once more afterwards

    @property
    def passing(self) -> bool:
        """Whether its run must be published in spite of what strikes it."""
        alone = self.caller == "airflow" and not self.rival and self.survivor != "abandon"
        return alone and all(fault.action in PASSING for fault in self.faults)

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job as its file is for this run."""
        source, model = dict(job["source"]), dict(job["model"])
        for name, value in self.differs.items():
            (source if name in source else model)[name] = value
        return {**job, "source": source, "model": model}

    def __str__(self) -> str:
        parts = [*map(str, self.faults)]
        parts += ["two runs"] if self.rival else []
        parts += [f"{self.twice} twice"] if self.twice else []
        parts += [f"{name} {value}" for name, value in {**self.differs, **self.request}.items()]
        parts += [f"alias to {self.champion}"] if self.champion else []
        parts += [f"{self.passed} later"] if self.passed != "0" else []
        parts += [f"clock {self.ahead} ahead"] if self.ahead != "0" else []
        parts += [self.ending] if self.ending else []
        return " + ".join(parts) or "none"


@dataclass(frozen=True)
class Scenario:
    seed: int
    job: dict[str, Any]
    rows: int
    shape: str  # of the source
    amount: str  # type of that column
    apart: bool  # the source is in another database
    small_disk: bool
    append_only: bool
    steady: bool  # nobody deletes a row
    episodes: tuple[Episode, ...]

    @property
    def numbers(self) -> bool:
        """Whether the model takes numbers only."""
        return "text" not in self.job["source"]["inputs"]

    def __str__(self) -> str:
        source = self.job["source"]
        numbers = "floats" if self.amount == "double precision" else "numbers"
        parts = [numbers if self.numbers else "text", "cursor" if "cursor" in source else "no cursor"]
        parts += [f"changes {source['changes']}", f"on_delete {source['on_delete']}"]
        parts += ["once"] if self.job["deduplicate"] else []
        parts += ["rescore"] if self.job["model"]["on_new_version"] == "rescore" else []
        parts += ["history"] if self.job["history"] == "append" else []
        parts += [self.shape] if self.shape != "table" else []
        parts += [source["where"]] if source["where"] else []
        parts += ["steady"] if self.steady else []
        parts += ["apart"] if self.apart else []
        return f"{self.rows} rows, {', '.join(parts)}"

    @property
    def faults(self) -> str:
        return "; ".join(map(str, self.episodes))


def draw(seed: int, disk: bool) -> Scenario:
    """The scenario of a seed. `disk`: whether a disk that can be filled is there."""
    chance = random.Random(seed)
    small_disk = chance.random() < 0.3
    numbers, append_only = chance.random() < 0.5, chance.random() < 0.1
    cursor = not append_only and chance.random() < 0.65
    rows = chance.randrange(150, 600)
    shards = chance.randrange(1, 4)
    shape = chance.choice(["table", *table.SHAPES])
    # Only a page of floats alone takes a row that is not there for a row without values.
    amount = chance.choice(["bigint", "double precision", "double precision"]) if numbers else "bigint"
    where = chance.choice([None, None, None, OTHER])
    source: dict[str, Any] = {
        "relation": table.relation(shape), "where": where,
        "key": ["id"], "inputs": ["amount", "price"] if numbers else ["text", "amount"],
        "changes": "none" if append_only else "hash",
        "on_delete": chance.choice(["keep", "delete"]), "max_delete_rate": 1.0,
    }  # fmt: skip
    if cursor:
        source |= {"cursor": "updated_at", "lookback": "5min", "sweep": "0 0 1 1 *"}
    apart = chance.random() < 0.3
    if apart:
        source["connection"] = "company"
    chunk = chance.randrange(10, 60)
    job = {
        "name": "chaos", "description": "Drawn by a seed", "owner": "chaos", "source": source,
        "model": {"name": "stub", "on_new_version": chance.choice(["new_rows", "rescore"])},
        "sizes": {
            "shard_rows": max(1, rows // shards), "max_shards": shards, "chunk_rows": chunk,
            "batch_rows": chance.choice([None, chance.randrange(5, 40)]),
            "chunk_bytes": chance.choice([1024, 8_388_608]),
        },
        "cost": chance.choice(["1", "amount::bigint % 7 + 1"]),
        "deduplicate": not append_only and chance.random() < 0.4,
        "history": chance.choice(["none", "append"]),
        "checks": {"max_quarantine_rate": 1.0},
        "retries": {"max_delay": "1s"},
        "max_parallel_shards": chance.randrange(1, 4),
    }  # fmt: skip
    chunks = max(1, rows // shards // chunk)
    steady = append_only or chance.random() < 0.5
    clocks = chance.choice([["0"], ["0"], ["0", "20 minutes", "3 years"]])
    kinds = _kinds(small_disk and disk)
    rebuild = partial(_rebuild, table.rebuilds(shape), READING_POINTS[apart])
    numbered = range(chance.randrange(2, 6))
    episodes = tuple(_episode(chance, number, chunks, kinds, rebuild, job, clocks) for number in numbered)
    if cursor and seed % 10 == BACK:
        episodes = _there_and_back(chance, job)
    return Scenario(seed, job, rows, shape, amount, apart, small_disk and disk, append_only, steady, episodes)


def _kinds(disk: bool) -> list[Kind]:
    kinds: list[Kind] = [_shard, _shard, _stop, _stop, _stop, _stop, _orchestrator, _server, _server]
    kinds += [_server_at_the_end, _network, _network, _cut_publish, _registry, _schema, _alias, _take_away]
    return kinds + [_full] * 3 if disk else kinds


def _episode(
    chance: random.Random,
    number: int,
    chunks: int,
    kinds: list[Kind],
    rebuild: Callable[[random.Random], Fault],
    job: dict[str, Any],
    clocks: list[str],
) -> Episode:
    faults = tuple(chance.choice(kinds)(chance, chunks) for _ in range(chance.choice([0, 0, 1, 2, 3])))
    faults += tuple(rebuild(chance) for _ in range(chance.choice([0, 0, 1, 2])))
    return Episode(
        faults=faults,
        caller=chance.choice(["airflow", "airflow", "command line"]),
        rival=chance.random() < 0.2,
        twice=chance.choice([*STAGES, "predict", "predict"]) if chance.random() < 0.4 else "",
        survivor=chance.choice(["resume", "resume", "clear", "abandon"]),
        orphans=chance.random() < 0.5,
        edited=chance.choice([0.0, 0.3, 1.0]) if number else 0.0,
        passed=chance.choice(["0", "2 hours", "2 hours"]),
        ahead=chance.choice(clocks),
        request=_request(chance),
        differs=_differs(chance, job),
        champion=chance.choice([1, 2]) if chance.random() < 0.4 else None,
        ending=chance.choice(["release", "discard"]) if chance.random() < 0.15 else "",
        again=chance.random() < 0.3,
    )


def _there_and_back(chance: random.Random, job: dict[str, Any]) -> tuple[Episode, ...]:
    """Three runs without faults, of which the second scores or deletes the rows of the first, and the third must undo
    that: among other faults such runs are too rarely complete, one after the other."""
    calm = Episode(
        (), "airflow", False, "", "resume", False, 0.0, "2 hours", "0", {}, {}, champion=1, ending="", again=False
    )
    job["deduplicate"] = False  # a run that defers a duplicate is not complete
    if chance.random() < 0.5:
        job["model"]["on_new_version"] = "rescore"
        moved: list[dict[str, Any]] = [{"champion": 2}, {"request": {"mode": "rescore", "model": "2"}}]
        return calm, replace(calm, **chance.choice(moved)), calm
    job["source"] |= {"where": None, "on_delete": "delete"}
    return calm, replace(calm, differs={"where": OTHER}), calm


def _differs(chance: random.Random, job: dict[str, Any]) -> dict[str, Any]:
    differs: dict[str, Any] = {}
    if chance.random() < 0.2:
        differs["where"] = None if job["source"]["where"] else OTHER
    if chance.random() < 0.15:
        differs["on_new_version"] = "new_rows" if job["model"]["on_new_version"] == "rescore" else "rescore"
    return differs


def _request(chance: random.Random) -> dict[str, Any]:
    request: dict[str, Any] = {}
    if chance.random() < 0.1:
        request["row_limit"] = chance.randrange(1, 200)
    if chance.random() < 0.25:
        request["mode"] = chance.choice(["pending", "rescore", "rescore"])
        request["model"] = chance.choice(["1", "2"])
    return request


def _nth(chance: random.Random, point: str, chunks: int) -> int:
    """Early as often as anywhere; what is not of a shard happens once a run."""
    if point not in SHARD_POINTS:
        return 1
    return chance.randrange(1, 4) if chance.random() < 0.5 else chance.randrange(1, 2 * chunks)


def _moment(chance: random.Random) -> str:
    return chance.choice(["before", "middle", "after"])


def _shard(chance: random.Random, chunks: int) -> Fault:
    action, point = chance.choice(["kill", "kill", "terminate"]), chance.choice(SHARD_POINTS)
    return Fault(action, point, _nth(chance, point, chunks), _moment(chance))


def _stop(chance: random.Random, chunks: int) -> Fault:
    """Woken while its successor works (after few points) or after it, or at the end."""
    point = chance.choice(["page", "position", "copy", "advance", "commit:advance"])
    hits = chance.choice([8, 16, 30, 80, EVER])
    return Fault("stop", point, _nth(chance, point, chunks), _moment(chance), hits)


def _orchestrator(chance: random.Random, chunks: int) -> Fault:
    if chance.random() < 0.6:
        return Fault("kill", chance.choice(BOUNDARIES))
    return Fault("kill", chance.choice(PLAN_POINTS + END_POINTS), 1, _moment(chance))


def _server(chance: random.Random, chunks: int) -> Fault:
    points = SHARD_POINTS + PLAN_POINTS + END_POINTS + BOUNDARIES
    point = chance.choice(points)
    nth = _nth(chance, point, chunks)
    return Fault(chance.choice(["crash", "kill -9", "kill -9 session"]), point, nth, _moment(chance))


def _server_at_the_end(chance: random.Random, chunks: int) -> Fault:
    """The work tables are lost when everything is scored, or judged."""
    return Fault(chance.choice(["crash", "kill -9"]), chance.choice(["before check", "after check", "after check"]))


def _network(chance: random.Random, chunks: int) -> Fault:
    point = chance.choice(SHARD_POINTS + SHARD_POINTS + PLAN_POINTS + END_POINTS)
    nth = _nth(chance, point, chunks)
    return Fault(chance.choice(["cut", "cut", "cut", "stall", "slow"]), point, nth, _moment(chance), 20)


def _cut_publish(chance: random.Random, chunks: int) -> Fault:
    return Fault(chance.choice(["cut", "kill"]), chance.choice(["merge", "published", "commit:published"]), 1, "after")


def _registry(chance: random.Random, chunks: int) -> Fault:
    action = chance.choice(["registry down", "registry slow", "registry 500"])
    return Fault(action, chance.choice(["registry", "after publish"]), 1, "before", chance.choice([3, 40]))


def _rebuild(ways: list[str], points: tuple[str, ...], chance: random.Random) -> Fault:
    point = chance.choice(points)
    return Fault(chance.choice(ways), point, 1 if point in ("search", "candidates") else chance.randrange(1, 4))


def _take_away(chance: random.Random, chunks: int) -> Fault:
    """In the middle of plan; the rows are back before the shards read, or while they do."""
    point = chance.choice(["search", "gone", "gone", "result"])
    return Fault("take away", point, 1, chance.choice(["before", "after"]), chance.choice([1, 2, 3, 8]))


def _schema(chance: random.Random, chunks: int) -> Fault:
    action = chance.choice(["drop column", "change type", "change type"])
    point = chance.choice(["registry", "after plan", "page", "page", "copy"])
    nth = _nth(chance, point, chunks)
    return Fault(action, point, nth, "before", chance.choice([5, 20, 60]))


def _alias(chance: random.Random, chunks: int) -> Fault:
    action = chance.choice(["move alias", "move alias", "delete version"])
    return Fault(action, chance.choice(["registry", "after plan", "copy", "after check"]), 1, "before", 30)


def _full(chance: random.Random, chunks: int) -> Fault:
    point = chance.choice(["search", "result", "copy", "copy", "copy", "merge"])
    nth = _nth(chance, point, chunks)
    return Fault("disk full", point, nth, "before", chance.choice([10, 40]))
