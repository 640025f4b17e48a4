"""The predictions' database after a failover, while the address still leads to what is a standby now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inference.base.database import Databases
from inference.errors import Unavailable
from inference.operations import doctor, repair
from inference.publishing import check, publish
from inference.shard import shard
from tests.stub import Digest, Pipeline, create_messages, sql


@pytest.fixture
def checked(databases: Databases) -> Pipeline:
    """A run that is checked; from then on every transaction is read-only, as on a standby."""
    create_messages(databases, ["one", "two"])
    pipeline = Pipeline(databases)
    pipeline.predict(pipeline.plan())
    check.check(databases, 1)
    place = databases.url("predictions").database
    sql(databases, f"ALTER DATABASE {place} SET default_transaction_read_only = on")
    return pipeline


STAGES: dict[str, Callable[[Pipeline], Any]] = {
    "plan": lambda pipeline: pipeline.plan(),
    "shard": lambda pipeline: shard.run(pipeline.databases, 1, 1, 1, lambda work: Digest()),
    "check": lambda pipeline: check.check(pipeline.databases, 1),
    "publish": lambda pipeline: publish.publish(pipeline.databases, 1),
    "repair": lambda pipeline: list(repair.repair(pipeline.databases, [])),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_database_that_cannot_be_written_to_is_told_in_words(checked: Pipeline, stage: str) -> None:
    """C: exit 1 with a stack trace."""
    with pytest.raises(
        Unavailable, match=r"'predictions': cannot execute .* its server is a standby, or was made read"
    ):
        STAGES[stage](checked)


def test_doctor_finds_it(checked: Pipeline) -> None:
    """C: doctor said ok."""
    findings = [finding.text for finding in doctor.examine(checked.databases, []) if finding.level == "error"]
    assert findings[0].startswith("connection predictions: nothing can be written there: the server is a standby, or")
