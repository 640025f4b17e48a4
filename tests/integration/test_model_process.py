"""The process that a model is loaded in: its modules, its variables, and what it must not unpickle."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from inference.base import mlmodel, pickles, state_folder
from inference.base.database import Databases
from inference.base.digest import digest
from inference.errors import ModelError
from inference.jobs.job import Job
from inference.models.artifact import Artifact
from inference.models.mlflow_rest import Registry
from inference.runners import runner, venv
from inference.scoring import load
from tests.stub import Pipeline, create_messages, job, predictions, sql

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERENCE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def fetched(folder: Path) -> str:
    """The digest of a model's files, which are then where a shard looks for them."""
    found = digest(folder)
    state_folder.model_folder(found).parent.mkdir(parents=True, exist_ok=True)
    folder.rename(state_folder.model_folder(found))
    return found


def code_model(folder: Path, body: str, **modules: str) -> str:
    """A model from code, with modules of its own; the digest of its files."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    source = folder / "source"
    source.mkdir()
    (source / "model.py").write_text(
        f"import mlflow.models\nfrom mlflow.pyfunc.model import PythonModel\n{body}\nmlflow.models.set_model(Model())\n"
    )
    paths = []
    for name, text in modules.items():
        (source / f"{name}.py").write_text(text)
        paths.append(str(source / f"{name}.py"))
    mlflow.pyfunc.save_model(
        folder / "m", python_model=str(source / "model.py"), code_paths=paths, pip_requirements=["mlflow"],
        signature=infer_signature({"text": "x"}, ["x"]),
    )  # fmt: skip
    return fetched(folder / "m")


def run(databases: Databases, monkeypatch: pytest.MonkeyPatch, wanted: str, a_job: Job) -> None:
    """Plan the job, and score it in a process of this interpreter, as the runner `venv` starts it."""
    content = yaml.safe_load((state_folder.model_folder(wanted) / "MLmodel").read_text())
    pipeline = Pipeline(databases, a_job, signature=mlmodel.parse(content["signature"], "m"))
    sql(databases, "UPDATE prediction.model SET digest = :digest", digest=wanted)
    monkeypatch.setattr(venv, "prepare", lambda registry, model: Path(sys.executable))
    planned = pipeline.plan()
    for number in planned.shards:
        runner.run(databases, Registry("http://127.0.0.1:9"), planned.run_id, planned.generation, number)
    assert pipeline.finish(planned) == "published"


@pytest.mark.parametrize("name", ["inference", "services", "demo", "tests", "chaos"])
def test_a_models_own_module_may_have_any_name(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """F11: SageMaker's convention is a module called `inference`."""
    create_messages(databases, ["one", "두 번째"])
    monkeypatch.syspath_prepend(str(tmp_path))  # MLflow imports the module while it logs the model
    for loaded in [item for item in sys.modules if item.split(".")[0] == name and name != "inference"]:
        monkeypatch.delitem(sys.modules, loaded)
    body = (
        f"class Model(PythonModel):\n    def predict(self, context, model_input, params=None):\n"
        f"        from {name} import shout\n        return [shout(text) for text in model_input['text']]"
    )
    wanted = code_model(tmp_path, body, **{name: "def shout(text):\n    return text.upper() + '!'\n"})

    run(databases, monkeypatch, wanted, job(runner="venv"))

    assert {row["prediction"] for row in predictions(databases).values()} == {"ONE!", "두 번째!"}


def test_variables_of_the_job_file_and_of_the_worker_reach_the_model(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """F27."""
    create_messages(databases, ["NLTK_DATA", "HF_TOKEN", "NOT_PASSED", "CUDA_VISIBLE_DEVICES"])
    monkeypatch.setenv("HF_TOKEN", "planted-secret")
    monkeypatch.setenv("NOT_PASSED", "planted")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    body = (
        "import os\nclass Model(PythonModel):\n    def predict(self, context, model_input, params=None):\n"
        "        return [str(os.environ.get(text)) for text in model_input['text']]"
    )
    wanted = code_model(tmp_path, body)
    settings = {"set": {"NLTK_DATA": "/data/한글"}, "pass": ["HF_TOKEN", "CUDA_VISIBLE_DEVICES"]}

    run(databases, monkeypatch, wanted, job(runner="venv", model__environment=settings))

    found = [row["prediction"] for _, row in sorted(predictions(databases).items())]
    assert found == ["/data/한글", "planted-secret", "None", "None"]
    stored = str(sql(databases, "SELECT definition, search_hash FROM prediction.run"))
    assert "/data/한글" in stored
    assert "planted-secret" not in stored


def test_a_variable_decides_what_is_current_and_a_passed_one_does_not(databases: Databases) -> None:
    """F27."""
    create_messages(databases, ["one"])
    pipeline = Pipeline(databases, job(model__environment={"set": {"MODE": "a"}}))
    assert pipeline.run().planned == 1

    pipeline.job = job(model__environment={"set": {"MODE": "a"}, "pass": ["HF_TOKEN"]})
    assert pipeline.run().state == "empty"
    pipeline.job = job(model__environment={"set": {"MODE": "b"}})
    assert pipeline.run().planned == 1


class Marked:
    """Whoever unpickles it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A model of PyTorch in MLflow's default format, which is an export and no pickle."""
    import mlflow.pytorch
    import torch

    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    example = np.random.default_rng(7).random((4, 3), "float32")
    mlflow.pytorch.save_model(network, tmp_path / "m", input_example=example)
    return tmp_path / "m"


def flavors(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]
    return found


def test_an_exported_model_of_pytorch_is_no_pickle_where_mlflow_looks_into_it(exported: Path) -> None:
    assert not pickles.found(exported, flavors(exported))
    text = (exported / "requirements.txt").read_text()
    for older in (
        text.replace("mlflow==3.17.2", "mlflow==3.16.0"),
        text.replace("torch==2.13.0", "torch==2.9.1"),
        text.replace("mlflow==3.17.2", "mlflow==3.17.2.dev0"),
        f'{text}\nmlflow==2.9.2\nmlflow==3.17.2; python_version<"3"',
        f"{text}\nmlflow-skinny==2.9.2",
        f'{text}\nMLFLOW==3.17.2 ; sys_platform=="win32"',
        text.replace("torch==2.13.0", "torch>=2.13.0"),
        "",
    ):
        (exported / "requirements.txt").write_text(older)
        assert pickles.found(exported, flavors(exported))
    (exported / "requirements.txt").write_text(text)
    (exported / "data" / "other.pkl").write_bytes(b"\x80\x04N.")
    assert pickles.found(exported, flavors(exported))


def test_an_exported_model_is_loaded_without_unpickling_and_answers(exported: Path) -> None:
    model = load.load(fetched(exported), allow_pickle=False)

    assert model.predict(np.zeros((2, 3), "float32")).shape == (2, 2)


def test_an_export_is_not_loaded_by_versions_that_do_not_look_into_it(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the requirements say, what is installed decides."""
    found = fetched(exported)
    monkeypatch.setattr(pickles.metadata, "version", lambda name: "2.9.1" if name == "torch" else "3.17.2")

    with pytest.raises(ModelError, match=r"torch 2.9.1 is installed here, and only 2.10 or newer looks into a .pt2"):
        load.load(found, allow_pickle=False)


def test_a_crafted_export_is_refused_before_anything_is_unpickled(exported: Path, tmp_path: Path) -> None:
    import pickle

    file, marker = exported / "data" / "model.pt2", tmp_path / "was unpickled"
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in entries if name.endswith("sample_inputs/model.pt")]
    entries[inputs] = pickle.dumps(Marked(marker))
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)

    with pytest.raises(ModelError, match=r"cannot be loaded: MlflowException: .*pickle"):
        load.load(fetched(exported), allow_pickle=False)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        ("mlflow.sklearn", "is loaded by unpickling, which can run any code. MLflow's formats for scikit-learn, skops"),
        ("mlflow.pytorch", r"Log it with serialization_format='pt2' and an input_example"),
        ("mlflow.pyfunc.model", r"Log it as code \(python_model='model.py'"),
        ("mlflow.statsmodels", r"Log it as code with safetensors weights"),
    ],
)
def test_a_pickle_is_refused_at_plan_with_what_to_do_instead(
    databases: Databases, tmp_path: Path, loader: str, words: str
) -> None:
    """The words fit the flavour, and come before any environment is made."""
    from inference.models import model_version

    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {"loader_module": loader}}}))
    wanted = fetched(folder)
    version = model_version.Version("m", "1", "models:/m-1", None)
    signature = Pipeline(databases).model.artifact.signature
    with databases.begin("predictions") as connection:
        model_version._add(connection, version, Artifact(wanted, "3.11.7", (), signature, True))

    class Known(Registry):
        def resolve(self, name: str, reference: str) -> model_version.Version:
            return version

    with pytest.raises(ModelError, match=rf"^m version 1: .*{words}.*model.allow_pickle: true in the job file"):
        model_version.resolve(databases, Known("http://127.0.0.1:9"), "m", "champion", False)
