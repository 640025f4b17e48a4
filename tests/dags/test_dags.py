"""Every job file gives exactly one DAG, and a wrong one only an error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

ROOT = Path(__file__).parents[2]
JOBS = sorted(path.stem for path in (ROOT / "dags" / "jobs").glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__")))


def test_each_job_file_gives_one_dag_that_can_be_stored() -> None:
    bag = DagBag(str(ROOT / "dags"))

    assert bag.import_errors == {}
    assert sorted(bag.dags) == JOBS
    for dag in bag.dags.values():
        DagSerialization.to_dict(dag)
        assert dag.max_active_runs == 1
        assert not dag.catchup
        assert {name: sorted(task.downstream_task_ids) for name, task in dag.task_dict.items()} == {
            "plan": ["check", "predict", "publish", "report"],
            "predict": ["check"],
            "check": ["publish"],
            "publish": ["report"],
            "report": [],
        }
        assert [asset.name for asset in dag.task_dict["publish"].outlets] == [f"prediction.{dag.dag_id}"]


def test_a_wrong_job_file_breaks_its_own_dag_only_and_names_the_field(folder: Path) -> None:
    text = (folder / "jobs" / "intent.yaml").read_text()
    (folder / "jobs" / "wrong.yaml").write_text(
        text.replace("name: intent\n", "name: wrong\n", 1).replace("lookback: 10min", "lookback: soon")
    )

    bag = DagBag(str(folder))

    assert sorted(bag.dags) == JOBS
    (path, error), *others = bag.import_errors.items()
    assert (Path(path).name, others) == ("job_files.py", [])
    assert "wrong.yaml" in error
    assert "source.lookback: 'soon': not a duration" in error


def test_the_trigger_form_has_a_typed_and_described_parameter_for_each_field_of_a_request() -> None:
    params = DagBag(str(ROOT / "dags")).dags[JOBS[0]].params

    assert {name: (params.get_param(name).schema["type"], params[name]) for name in params} == {
        "mode": ("string", "pending"),
        "model": (["string", "null"], None),
        "row_limit": (["integer", "null"], None),
        "key_from": (["string", "null"], None),
        "key_to": (["string", "null"], None),
        "dry_run": ("boolean", False),
        "publish": ("string", "publish"),
    }
    assert all(params.get_param(name).description for name in params)
    assert params.get_param("mode").schema["enum"] == ["pending", "rescore", "key_range", "replay"]
