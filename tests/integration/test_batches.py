"""What a call of the model gets: rows of like cost, dearest first, and as many as made it fastest."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from inference.base.database import Databases
from inference.shard import host
from tests.stub import Digest, Pipeline, assert_current, counts, create_messages, job, sql

WORDS = random.Random(0)
ROWS = 3_000
SIZES = {"chunk_rows": 1_000}


class Words(Digest):
    """Tells what a text costs: its words. Notes the costs of each call, and takes time as `seconds` says."""

    def __init__(self, rate: Any = None) -> None:
        super().__init__()
        self.batches: list[list[int]] = []

    def costs(self, data: pd.DataFrame) -> Any:
        return np.array([len(text.split()) for text in data["text"]])

    def predict(self, data: pd.DataFrame) -> pd.DataFrame:
        self.batches.append(self.costs(data).tolist())
        time.sleep(1e-3)  # what a call costs whatever it is given
        return super().predict(data)


class Wrapped:
    """As MLflow wraps a Python model."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, data: pd.DataFrame) -> Any:
        return self._model.predict(data)

    def unwrap_python_model(self) -> Any:
        return self._model


@pytest.fixture
def company(databases: Databases) -> Databases:
    create_messages(databases, [f"{number} " + "word " * WORDS.randint(0, 59) for number in range(ROWS)])
    return databases


def shard(databases: Databases) -> dict[str, Any]:
    names = "batch_size, host_class, calls"
    row = sql(databases, f"SELECT {names} FROM prediction.shard ORDER BY run_id DESC LIMIT 1")[0]  # noqa: S608
    return dict(zip(names.split(", "), row))


@pytest.mark.parametrize("cost", ["1", "length(text)"])
def test_rows_of_like_cost_share_a_batch_of_a_size_that_is_found_and_known_to_the_next_run(
    company: Databases, cost: str
) -> None:
    first, second = Words(), Words()
    a_job = job(cost=cost, deduplicate=False, sizes=SIZES)
    pipeline = Pipeline(company, a_job, Wrapped(first))
    pipeline.run()

    found = shard(company)
    assert found == {"batch_size": found["batch_size"], "host_class": host.kind(), "calls": len(first.batches)}
    assert sum(map(len, first.batches)) == ROWS
    assert all(sorted(batch, reverse=True) == batch for batch in first.batches)
    costs = [len(batch) * batch[0] for batch in first.batches if len(batch) > 1]
    assert max(costs) <= 4 * found["batch_size"]  # of those that were tried
    assert_current(company)

    sql(company, "UPDATE message SET text = text || ' again'")
    pipeline.predictor = Wrapped(second)
    pipeline.run()

    dearest = second.batches[0][0]
    assert len(second.batches[0]) == found["batch_size"] // 2 // dearest  # and not four rows
    assert_current(company)


def test_without_costs_a_batch_is_a_number_of_rows(company: Databases) -> None:
    sizes = {"chunk_rows": 1_000, "batch_rows": None}
    Pipeline(company, job(sizes=sizes), Digest()).run()

    assert shard(company)["batch_size"] in [2**n for n in range(2, 10)]  # 512 and no more, where rows are few
    assert_current(company)


def test_a_fixed_number_of_rows_is_kept_and_says_nothing_of_the_machine(company: Databases) -> None:
    model = Words()

    Pipeline(company, job(deduplicate=False, sizes={**SIZES, "batch_rows": 50}), model).run()

    assert shard(company) == {"batch_size": 50, "host_class": None, "calls": ROWS // 50}
    assert all(sorted(batch, reverse=True) == batch for batch in model.batches)


def test_a_row_whose_cost_cannot_be_told_is_lost_alone(company: Databases) -> None:
    class Strict(Words):
        def costs(self, data: pd.DataFrame) -> Any:
            if (data["text"] == "bad").any():
                raise ValueError("no tokens")
            return super().costs(data)

    sql(company, "UPDATE message SET text = 'bad' WHERE id = 17")

    planned = Pipeline(company, job(sizes=SIZES), Strict()).run()

    assert counts(company, planned.run_id) == {"planned": ROWS, "predicted": ROWS - 1, "quarantined": 1}
    assert sql(company, "SELECT key, error, message FROM prediction.quarantine") == [
        (["17"], "ValueError", "no tokens")
    ]


@pytest.mark.parametrize("costs", [[1.0], [0.0, 1.0, 1.0], [float("nan"), 1.0, 1.0]], ids=["rows", "zero", "nan"])
def test_costs_that_are_none_are_refused(databases: Databases, costs: list[float]) -> None:
    create_messages(databases, ["one", "two", "three"])

    class Wrong(Digest):
        def costs(self, data: pd.DataFrame) -> Any:
            return np.array(costs[: len(data)] if len(costs) == 3 else [1.0, 1.0])

    planned = Pipeline(databases, predictor=Wrong()).run()

    assert counts(databases, planned.run_id)["quarantined"] >= 1
    messages = {row[0] for row in sql(databases, "SELECT DISTINCT message FROM prediction.quarantine")}
    assert messages == {"the model's costs for 1 rows are not as many positive numbers"}


def test_after_a_kill_for_memory_no_larger_batch_is_tried(company: Databases) -> None:
    model = Words()
    pipeline = Pipeline(company, job(deduplicate=False, sizes=SIZES), model)
    planned = pipeline.plan()
    sql(company, "UPDATE prediction.shard SET memory_kills = 1, batch_size = 200")

    pipeline.predict(planned)

    assert all(len(batch) * batch[0] <= 200 for batch in model.batches)
    assert pipeline.finish(planned) == "published"


def test_a_model_that_has_died_is_given_rows_and_its_batches_teach_nothing(company: Databases) -> None:
    """What is known is a number of tokens: as many rows would be too much."""
    model = Words()
    pipeline = Pipeline(company, job(deduplicate=False, sizes=SIZES), model)
    planned = pipeline.plan()
    sql(company, "UPDATE prediction.shard SET deaths = 1, batch_size = 900")

    pipeline.predict(planned)

    assert max(map(len, model.batches)) == 32
    assert pipeline.finish(planned) == "published"
    sql(company, "UPDATE message SET text = text || ' again'")
    model.batches.clear()
    pipeline.run()
    assert len(model.batches[0]) == 4  # nothing is known
