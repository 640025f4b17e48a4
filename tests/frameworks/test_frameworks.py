"""Models trained for PyTorch 1.11 on Python 3.10 and for PyTorch 1.10 on Python 3.9, beside the current torch.

Minutes and 8 GB: `make e2e-frameworks`, not a part of `make test`.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from inference import pipeline
from inference.jobs.request import Request
from inference.models import artifact, model_version
from inference.models.mlflow_rest import Registry
from tests.e2e import images
from tests.e2e.docker_company import Company
from tests.stub import predictions, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, on its import
ROOT = Path(__file__).parents[2]
SHARED = ["pandas==1.5.3", "safetensors==0.4.5", "sqlalchemy==2.0.36"]
TORCH_1_11 = ("3.10", ["mlflow-skinny==3.17.2", "numpy==1.23.5", "torch==1.11.0", *SHARED])
# Its own C++ extensions import distutils.version, which setuptools 70 and later do not have.
TORCH_1_10 = ("3.9", ["mlflow-skinny>=2", "numpy==1.22.4", "setuptools<70", "torch==1.10.2", *SHARED])
VERSIONS = "import sys, torch; print('%d.%d' % sys.version_info[:2], torch.__version__.split('+')[0])"
EXPECTED = {"intent": "3.11 2.13.0", "intent_1_11": "3.10 1.11.0", "keyword_1_10": "3.9 1.10.2"}


def register_current_intent(company: Company) -> None:
    """The example as it is: logged with the current torch."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "examples" / "intent" / "train.py")]
    subprocess.run(command, cwd=ROOT, env=company.environment(), check=True)


def register_intent(company: Company) -> None:
    """The same weights, logged with PyTorch 1.11."""
    found = model_version.resolve(company.databases, Registry(), "intent", "champion", False)
    path = company.folder / "intent_1_11"
    shutil.copytree(artifact.ensure(Registry(), found.version, found.artifact.digest), path)
    images.publish(path, "intent_1_11", TORCH_1_11)


def register_keyword(company: Company) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array
    from safetensors.torch import save_file

    from tests.frameworks import keyword_model

    with (ROOT / "examples" / "keyword" / "messages.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = keyword_model.train([row["text"] for row in rows], [row["keyphrase"] for row in rows])
    weights = company.folder / "weights.safetensors"
    save_file({"table": table}, weights)
    path = company.folder / "keyword_1_10"
    outputs = [ColSpec(Array(DataType.string), "keywords"), ColSpec(Array(DataType.double), "scores")]
    mlflow.pyfunc.save_model(
        path,
        python_model=keyword_model.__file__,
        artifacts={"weights": str(weights)},
        signature=ModelSignature(Schema([ColSpec("string", "text")]), Schema(outputs)),
        input_example=pd.DataFrame({"text": [row["text"] for row in rows[:8]]}),
        pip_requirements=TORCH_1_10[1],
    )
    images.publish(path, "keyword_1_10", TORCH_1_10)


def test_models_of_three_versions_of_torch_run_side_by_side(company: Company) -> None:
    register_current_intent(company)
    register_intent(company)
    register_keyword(company)
    with (ROOT / "examples" / "intent" / "messages.csv").open(encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    for number, text in enumerate(texts, 1):
        sql(company.databases, "UPDATE message SET text = :text WHERE id = :id", text=text, id=number)
    built = {name: company.build(name) for name in EXPECTED}
    jobs = [company.job(name, name, resources={"memory": "1Gi"}) for name in EXPECTED]

    def run(a_job: Any) -> str:
        return pipeline.run(company.databases, a_job, Request(), lambda _: None, lambda _: nullcontext()).state

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(run, jobs)) == ["published"] * 3

    named = dict(sql(company.databases, "SELECT job, image_id FROM prediction.run_summary"))
    assert named == {name: image.id for name, image in built.items()}
    for name, image in named.items():
        said = company.client.containers.run(
            image, ["-c", VERSIONS], entrypoint="/opt/model/bin/python", remove=True, network="none"
        )
        assert said.decode().strip() == EXPECTED[name]
    found = {name: predictions(company.databases, f"prediction.{name}") for name in EXPECTED}
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(EXPECTED, 400)
    for key, row in found["intent"].items():
        other = found["intent_1_11"][key]
        assert (row["intent"], row["input_hash"]) == (other["intent"], other["input_hash"])
        assert row["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
    assert sum(bool(row["keywords"]) for row in found["keyword_1_10"].values()) > 100
