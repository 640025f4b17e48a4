"""Small models for tests of containers: numpy and pandas, no framework; good ones, slow ones, and some that leak."""

from __future__ import annotations

import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

# Python, and what a model is logged with. The first pair is the one that most images share.
NEW = ("3.11", ["mlflow-skinny>=2", "numpy==2.2.6", "pandas==2.2.3"])
OLD = ("3.9", ["mlflow-skinny>=2", "numpy==1.26.4", "pandas==1.5.3"])

MODEL = """
import hashlib, os, signal, sys, time
import mlflow.models
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel

class Model(PythonModel):
    seen = 0

    def load_context(self, context):
        {load}

    def predict(self, model_input):
        texts = [text or "" for text in model_input["text"]]
        scores = np.array([len(text) for text in texts], dtype=np.float64)
        {predict}
        return pd.DataFrame({{
            "digest": [hashlib.sha256(text.encode()).hexdigest() for text in texts],
            "length": np.array([len(text) for text in texts], dtype=np.int64),
            "score": scores,
            "versions": ["%d.%d numpy %s" % (*sys.version_info[:2], np.__version__)] * len(texts),
        }})

mlflow.models.set_model(Model())
"""
SLOW = "time.sleep(0.15)"
HUNGRY = "held = [bytearray(os.urandom(1) * 4_000_000) for _ in texts]"  # 4 MB a row
# What each conformance check is there to find.
LEAKS = {
    "padding": "scores = scores / max(map(len, texts))",
    "batch statistics": (
        "values = np.array([sum(map(ord, text[:3])) for text in texts], dtype=np.float64)\n"
        "scores = (values - values.mean()) / (values.std() + 1e-5)"
    ),
    "order": "scores = scores.cumsum()",
    "state": "scores = scores + self.seen\nself.seen += len(texts)",
    "batch size": "scores = scores + (len(texts) > 32)",
}


@dataclass
class Source:
    """What a model is made of."""

    predict: str = "pass"
    load: str = "pass"
    environment: tuple[str, list[str]] = NEW


def register(folder: Path, name: str, source: Source, alias: str = "champion") -> str:
    """Log a model with this server's MLflow as if it had been trained in its own environment; returns its version."""
    import mlflow
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    parts = {key: textwrap.indent(getattr(source, key), " " * 8).strip() for key in ("load", "predict")}
    code = folder / "code.py"
    code.write_text(MODEL.format(**parts))
    columns = [("string", "digest"), ("long", "length"), ("double", "score"), ("string", "versions")]
    outputs = [ColSpec(kind, column) for kind, column in columns]
    path = Path(tempfile.mkdtemp(dir=folder)) / "model"
    mlflow.pyfunc.save_model(
        path,
        python_model=str(code),
        signature=ModelSignature(Schema([ColSpec("string", "text")]), Schema(outputs)),
        input_example=pd.DataFrame({"text": ["where is my parcel", "thanks", "I want my money back"]}),
        pip_requirements=source.environment[1],
    )
    return publish(path, name, source.environment, alias)


def publish(path: Path, name: str, environment: tuple[str, list[str]], alias: str = "champion") -> str:
    """Register the model in `path` as if it had been logged in `environment`; returns its version."""
    import mlflow

    python, requirements = environment
    declared = yaml.safe_load((path / "python_env.yaml").read_text())
    # This interpreter's own setuptools may be too new for that one.
    declared |= {"python": f"{python}.1", "build_dependencies": ["pip==23.2.1", "setuptools==68.2.2", "wheel"]}
    (path / "python_env.yaml").write_text(yaml.safe_dump(declared))
    (path / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(path), "model")
        client = mlflow.MlflowClient()
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        version = str(client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id).version)
    client.set_registered_model_alias(name, alias, version)
    return version
