"""Between the row and the model stands `mlflow.pyfunc`, of many versions: `tests/value_cases.py` says what is right."""

# ruff: noqa: S608 - the statements are made of this file's own constants

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.base import mlmodel
from inference.base.database import Databases
from inference.errors import ModelError
from inference.models.environment import BuildError, ensure, find_interpreter
from tests.stub import Pipeline, counts, job, predictions, sql

ROOT = Path(__file__).parents[2]
MLFLOW = {"2.22": "mlflow-skinny==2.22.1", "3.17": "mlflow-skinny==3.17.2"}
PANDAS = {"pandas 2": "pandas==2.3.3", "pandas 3": "pandas==3.1.1"}
ARROW = {"pyarrow": ["pyarrow==25.0.1"], "no pyarrow": []}


@pytest.mark.parametrize("arrow", ARROW)
@pytest.mark.parametrize("pandas", PANDAS)
@pytest.mark.parametrize("mlflow", MLFLOW)
def test_what_a_model_sees_is_what_the_row_holds(mlflow: str, pandas: str, arrow: str, tmp_path: Path) -> None:
    """F1, F2, F13, F30, F33, R1, R9: each value is seen as it is, or its row lost with the reason, or plan refuses the
    column; which of them is written down in `tests/value_cases.py`."""
    told = told_by(interpreter(MLFLOW[mlflow], PANDAS[pandas], *ARROW[arrow]), tmp_path)

    assert told["wrong"] == []
    found, of_pandas, _, has_arrow = told["versions"]
    assert (found[:4], of_pandas[0], has_arrow) == (mlflow, pandas[-1], arrow == "pyarrow")


def interpreter(*requirements: str, python: str = "3.11") -> Path:
    """Of this project, with the whole MLflow, if it has these versions; else of an environment with its skinny one."""
    if len(requirements) == 3 and all(
        version(name) == number for name, _, number in (line.partition("==") for line in requirements)
    ):
        return Path(sys.executable)
    try:
        return ensure(python, requirements, ROOT / ".state" / "tests", ROOT / "inference" / "requirements.txt", print)
    except BuildError as error:
        if "No solution found" not in str(error):
            raise
        pytest.skip(f"{', '.join(requirements)} do not go together")


def told_by(python: Path, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-W", "ignore", ROOT / "tests" / "value_cases.py"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert min(told["count"][name] for name in ("given", "quarantined", "refused by plan", "batches")) > 2000
    return told


@pytest.fixture(scope="module")
def oldest() -> Path:
    """The oldest versions that a model's environment may have."""
    try:
        find_interpreter("3.9")
    except BuildError as error:
        pytest.skip(str(error))
    return interpreter("mlflow-skinny==2.22.1", "numpy==1.26.4", "pandas==1.5.3", "sqlalchemy==1.4.54", python="3.9")


def test_the_same_with_the_oldest_versions(oldest: Path, tmp_path: Path) -> None:
    told = told_by(oldest, tmp_path)

    assert (told["wrong"], told["versions"][1]) == ([], "1.5.3")


MODEL = """
import mlflow.models, pandas
from mlflow.pyfunc import PythonModel

def seen(value):
    kind = str(getattr(value, "dtype", type(value).__name__))
    return kind, value.tolist() if kind.startswith(("int", "float")) else [str(item) for item in value]

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        columns = [name for name in model_input.columns if name != "thing"]
        told = [{name: seen(row[name]) for name in columns} for row in model_input.to_dict("records")]
        for one, thing in zip(told, model_input["thing"]):
            one["thing"] = repr({key: float(value) for key, value in thing.items()})
        return pandas.DataFrame({"seen": [repr(one) for one in told]})

mlflow.models.set_model(Model())
"""
# The type of the column, its value in the row that is right, and the one that no model can be given with the reason.
COLUMNS = {
    "reals": ("real[]", "float", "{0.5,NULL,3.4028235e38}", "{{1},{2}}", "an item of input 'reals' is of type list"),
    "ints": ("int[]", "integer", "{1,-2147483648}", "{1,NULL}", "an item of input 'ints' is NULL, and MLflow has no"),
    "wide": ("int[]", "double", "{1,2147483647,NULL}", None, ""),
    "longs": ("bigint[]", "long", "{9007199254740993}", "{NULL}", "an item of input 'longs' is NULL"),
    "texts": ("text[]", "string", "{abc,한국,nan}", "{abc,NULL}", "an item of input 'texts' is NULL"),
    "moments": (
        "timestamptz[]", "datetime", "{2024-01-01 00:00:00.000001+09,NULL}", "{9999-12-31 00:00+00}",
        "an item of input 'moments' is 9999-12-31T00:00:00.000000: MLflow gives a model nanoseconds",
    ),
    "files": ("bytea[]", "binary", r'{"\\x0001"}', r'{"\\x0100"}', "an item of input 'files' ends with a zero byte"),
    "flags": ("bool[]", "boolean", "{t,f}", "{t,NULL}", "an item of input 'flags' is NULL"),
    "list": ("jsonb", "double", "[1, 2.5]", '["1"]', "an item of input 'list' is of type str where"),
}  # fmt: skip
SEEN = {
    "reals": "('float32', [0.5, nan, 3.4028234663852886e+38])",
    "ints": "('int32', [1, -2147483648])",
    "wide": "('float64', [1.0, 2147483647.0, nan])",
    "longs": "('int64', [9007199254740993])",
    "texts": "('list', ['abc', '한국', 'nan'])",
    "moments": "('datetime64[ns]', ['2023-12-31T15:00:00.000001000', 'NaT'])",
    "files": r"""('list', ["b'\\x00\\x01'"])""",
    "flags": "('list', ['True', 'False'])",
    "list": "('float64', [1.0, 2.5])",
}


def array(item: str, name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": item}, "name": name, "required": True}


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_arrays_and_json_from_postgres_to_the_model(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1, F13, F33."""
    monkeypatch.chdir(tmp_path)  # where MLflow makes a folder of its own
    import mlflow.pyfunc

    (tmp_path / "model.py").write_text(MODEL)
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=str(tmp_path / "model.py"), pip_requirements=["pandas"])
    thing = {"type": "object", "properties": {"n": {"type": "double", "required": True}}, "name": "thing"}
    inputs = [*(array(item, name) for name, (_, item, *_) in COLUMNS.items()), {**thing, "required": True}]
    declared = {"inputs": json.dumps(inputs), "outputs": json.dumps([{"type": "string", "name": "seen"}])}
    path = tmp_path / "model" / "MLmodel"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "signature": declared}))
    columns = ", ".join(f"{name} {kind}" for name, (kind, *_) in COLUMNS.items())
    sql(databases, f"CREATE TABLE message (id bigint PRIMARY KEY, {columns}, thing jsonb)")
    right = {name: value for name, (_, _, value, *_) in COLUMNS.items()} | {"thing": '{"n": 7}'}
    wrong = {name: bad for name, (_, _, _, bad, _) in COLUMNS.items() if bad} | {"thing": '{"n": "7"}'}
    for number, row in enumerate([right, *({**right, name: bad} for name, bad in wrong.items())]):
        names = ", ".join(f"CAST(:{name} AS {COLUMNS[name][0] if name in COLUMNS else 'jsonb'})" for name in row)
        sql(databases, f"INSERT INTO message VALUES ({number}, {names})", **row)
    parsed = mlmodel.parse(declared, "m")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    pipeline = Pipeline(databases, job(cost="1", source__inputs=list(right)), model, parsed)

    planned = pipeline.run()

    assert counts(databases, planned.run_id) == {"planned": 10, "predicted": 1, "quarantined": 9}
    ((key, row),) = predictions(databases).items()
    expected = ", ".join(f"{name!r}: {seen}" for name, seen in SEEN.items())
    assert (key, row["seen"]) == (0, f"{{{expected}, 'thing': \"{{'n': 7.0}}\"}}")
    found = dict(sql(databases, "SELECT CAST(key[1] AS integer), message FROM prediction.quarantine"))
    reasons = {name: reason for name, (*_, reason) in COLUMNS.items()} | {
        "thing": "'n' of input 'thing' is of type str"
    }
    assert {n: found[n].startswith(reasons[name]) for n, name in enumerate(wrong, 1)} == dict.fromkeys(
        range(1, 10), True
    )
    assert pipeline.run().planned == 0


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [("text[]", "double", "array of double"), ("double precision[]", "float", "array of float"),
     ("bigint[]", "double", "array of double"), ("jsonb", "datetime", "array of datetime")],
)  # fmt: skip
def test_an_array_of_other_items_is_refused_by_plan(databases: Databases, kind: str, item: str, said: str) -> None:
    """F13."""
    sql(databases, f"CREATE TABLE message (id bigint PRIMARY KEY, text {kind})")
    sql(databases, "INSERT INTO message VALUES (1, NULL)")
    declared = {"inputs": json.dumps([array(item, "text")]), "outputs": json.dumps([{"type": "string", "name": "y"}])}

    with pytest.raises(ModelError, match=rf"input 'text' is {said}; the source's column is {re.escape(kind)}, and"):
        Pipeline(databases, job(cost="1"), None, mlmodel.parse(declared, "m")).plan()
