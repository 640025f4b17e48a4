"""The webhook's address, and what happens when nobody takes the event: a warning without the address, no more."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

from batch_prediction import notices, webhook
from tests.dags.receiver import SECRET, Receiver


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every line that any library logs, at any level."""
    caplog.set_level(logging.DEBUG)
    return caplog


def tell(connection: str = "alarm", **arguments: Any) -> None:
    event = notices.Event("held", "intent", 7, "held", "why", {}, None)
    webhook.WebhookNotifier(connection, **arguments)({notices.EVENT: event})


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("answers", "tries", "reason"),
    [
        ([503, 429], 3, None),
        ([500, 500, 500], 3, "it answered 500, 3 times"),
        ([404], 1, "it answered 404"),
        ([302], 1, "it answered 302"),
    ],
)
def test_an_answer_other_than_success_is_tried_again_where_that_can_help(
    receiver: Receiver, everything: pytest.LogCaptureFixture, answers: list[int], tries: int, reason: str | None
) -> None:
    receiver.answers = answers

    tell()

    assert (len(receiver.requests), len(receiver.posts)) == (tries, reason is None)
    said = f"webhook alarm was not told of held of job intent: {reason}"
    assert warnings(everything) == ([said] if reason else [])
    assert SECRET not in everything.text


def test_a_receiver_that_is_away_or_slow_costs_a_warning(
    receiver: Receiver, everything: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.wait = 0.3
    tell(timeout=0.1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://:pass-geheim@127.0.0.1:{listener.getsockname()[1]}/{SECRET}?key=key-geheim"
    monkeypatch.setenv("AIRFLOW_CONN_ALARM", address)
    tell()

    said = "webhook alarm was not told of held of job intent"
    assert warnings(everything) == [f"{said}: TimeoutError, 3 times", f"{said}: ConnectionRefusedError, 3 times"]
    assert "geheim" not in everything.text


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, "AirflowNotFoundException"),
        (f"ftp://files.example/{SECRET}", "ValueError"),
        (json.dumps({"conn_type": "http", "host": f"http://hooks.example/{SECRET} with a blank"}), "InvalidURL"),
    ],
)
def test_a_connection_that_is_no_address_costs_a_warning_that_does_not_repeat_it(
    everything: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, address: str | None, reason: str
) -> None:
    if address:
        monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", address)

    tell("nowhere")

    (said,) = warnings(everything)
    assert said.startswith("webhook nowhere was not told of held of job intent: ")
    assert reason in said
    assert SECRET not in everything.text


@pytest.mark.parametrize(
    ("connection", "path", "authorization"),
    [
        ("http://127.0.0.1:{port}/a/b%20c?sig=x%2By&v=1", "/a/b%20c?sig=x%2By&v=1", None),
        ("http://127.0.0.1:{port}", "/", None),
        ("http://127.0.0.1:{port}/http", "/", None),  # as Airflow's HTTP provider writes the protocol
        ("http://me:p%40ss@127.0.0.1:{port}/hook", "/hook", "Basic bWU6cEBzcw=="),
        ("http://:token@127.0.0.1:{port}/hook", "/hook", "Bearer token"),
        ({"conn_type": "http", "host": "http://127.0.0.1:{port}/a%2Fb?x=1", "extra": {"y": "2"}}, "/a%2Fb?x=1&y=2",
         None),
        ({"conn_type": "generic", "host": "http://127.0.0.1", "port": "{port}", "schema": "hook"}, "/hook", None),
    ],
)  # fmt: skip
def test_a_connection_becomes_the_address_that_was_meant(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, connection: Any, path: str, authorization: str | None
) -> None:
    text = (connection if isinstance(connection, str) else json.dumps(connection)).replace("{port}", str(receiver.port))
    monkeypatch.setenv("AIRFLOW_CONN_ALARM", text)

    tell()

    ((found, headers),) = receiver.requests
    assert (found, headers.get("Authorization")) == (path, authorization)
