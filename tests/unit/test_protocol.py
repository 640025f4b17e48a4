"""The protocol between workers and the code in images: a change of it is noticed, and another one is refused."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference import errors
from inference.base import database, process_protocol, protocol, queries
from inference.base.protocol import PROTOCOL
from inference.base.root import ROOT
from inference.errors import ModelError
from inference.images import image
from inference.models.mlflow_rest import Version
from inference.models.model_version import Image, Model
from inference.runners import process, runner
from inference.scoring import conformance
from tests.stub import job

# The number, and the fingerprint of what shards and workers agreed on when it was last looked at. Whoever sees this
# test fail decides: if images that were built before go on to work as they should, only the fingerprint is new; if not,
# raise PROTOCOL in inference/base/protocol.py, and write the new number here.
KNOWN = (2, "19fe5117b9a89233")

CODE = ROOT / "inference"
DIGEST = f"r.example/inference/intent@sha256:{'a' * 64}"


def inside() -> list[Path]:
    """The modules that run inside an image."""
    return sorted(path for room in ("base", "scoring", "shard") for path in (CODE / room).glob("*.py"))


def agreed() -> dict[str, Any]:
    """What an image and a worker must agree on."""
    blocks, variables = {}, set(process.settings(job()))
    for path in inside():
        text = path.read_text()
        variables |= set(re.findall(r'environ(?:\.get)?[\[(]"([A-Z_]+)"', text))
        stage = re.search(r'^SQL = queries\.load\("([\w/]+)"\)', text, re.M)
        if stage:
            blocks |= {f"{stage[1]}.{name}": " ".join(sql.split()) for name, sql in queries.load(stage[1]).items()}
    return {
        "sql": blocks,
        "session": database.SESSION,
        "variables": sorted(variables),
        "shard": process.arguments(0, 0, 0),
        "conformance": (conformance.__doc__ or "").split(":")[0],
        "exit codes": {str(code): kind.__name__ for code, kind in errors.BY_EXIT_CODE.items()},
        "ready": process_protocol.CONFORMANCE_READY,
        "definition": protocol.FORMAT,
    }


def test_a_change_of_the_protocol_is_noticed() -> None:
    fingerprint = hashlib.sha256(json.dumps(agreed(), sort_keys=True).encode()).hexdigest()[:16]

    assert (PROTOCOL, fingerprint) == KNOWN, (
        "what workers and images agree on has changed: SQL of shards, arguments, environment variables, exit codes. If "
        "images that were built before do no longer work as they should, raise PROTOCOL in inference/base/protocol.py; "
        f"then write KNOWN = ({PROTOCOL} or the new number, {fingerprint!r}) into this file"
    )


def test_what_runs_in_images_is_looked_at() -> None:
    names = {path.stem for path in inside()}
    found = agreed()

    assert {
        "shard",
        "read",
        "write",
        "attempt",
        "trial",
        "source",
        "database",
        "session",
        "copy_binary",
        "predict",
    } <= names
    assert not {"plan", "publish", "app", "mlflow_rest"} & names
    assert {
        "shard/attempt.begin",
        "shard/attempt.advance",
        "shard/read.page",
        "shard/trial.note",
        "base/source.input_hash",
    } <= set(found["sql"])
    assert {"AIRFLOW_CONN_", "INFERENCE_STATE"} & set(found["variables"])


class Tags:
    """An MLflow server that knows the image of one version."""

    def __init__(self, **tags: str) -> None:
        self._tags = {image.NAME: DIGEST, image.ID: "sha256:1", **tags}

    def tags(self, version: Version) -> dict[str, str]:
        return self._tags


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
@pytest.mark.parametrize(("tags", "said"), [({}, "none"), ({image.NUMBER: "0"}, "0"), ({image.NUMBER: "99"}, "99")])
def test_an_image_of_another_protocol_is_refused_with_the_command(kind: str, tags: dict[str, str], said: str) -> None:
    version = Version("intent", "3", "models:/m-1", None)
    model = Model(1, version, None)  # type: ignore[arg-type]

    with pytest.raises(
        ModelError,
        match=rf"^intent version 3: its image {DIGEST} has protocol {said}, and this code has {PROTOCOL}: .*"
        r"Run: python -m inference image build intent:3$",
    ):
        runner.ready(Tags(**tags), job(runner=kind), model)  # type: ignore[arg-type]

    right = Tags(**{image.NUMBER: str(PROTOCOL)})
    assert runner.ready(right, job(runner=kind), model).image == Image(DIGEST, "sha256:1")  # type: ignore[arg-type]
    assert runner.ready(Tags(**tags), job(), model).image is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("definition", "said"), [({}, "none"), ({"protocol": 0}, "0"), ({"protocol": 99}, "99")])
def test_a_shard_does_not_start_in_an_image_of_another_protocol(definition: dict[str, int], said: str) -> None:
    """A run that was planned before the upgrade keeps its image."""
    model = Model(1, Version("intent", "3", "models:/m-1", None), None, Image(DIGEST, "sha256:1"))  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=rf"{DIGEST} has protocol {said}, .* image build intent:3, and plan again$"):
        image.require_protocol(definition, model)
    image.require_protocol({"protocol": PROTOCOL}, model)
    image.require_protocol(definition, replace(model, image=None))
