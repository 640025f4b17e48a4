"""The section `model.environment` of a job file: variables of the process that a model is loaded in."""

from __future__ import annotations

import os
import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from inference.jobs.field_types import Section, plain

# The pipeline sets these, or they decide which code runs and where it leads.
_OURS = {
    "PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
    "PYTHONUSERBASE", "PYTHONINSPECT", "PYTHONOPTIMIZE", "BASH_ENV", "ENV", "GCONV_PATH",
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_DISABLE_SCHEMA_DETAILS",
    "MLFLOW_DISABLE_TELEMETRY", "THP_MEM_ALLOC_ENABLE",
}  # fmt: skip
_THREADS = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"}
_OUR_PREFIXES = ("PG", "AIRFLOW_", "INFERENCE_", "DATABRICKS_")  # on Databricks, MLflow unpickles whatever is said
# Words that a secret's name is made of. TOKENIZERS_PARALLELISM and KEYWORDS have none of them.
_SECRET = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|PWD|SECRETS?|TOKEN|CREDENTIALS?|AUTH|AUTHORIZATION|APIKEY|(API|ACCESS|PRIVATE|SECRET|"
    r"SIGNING|ENCRYPTION|ACCOUNT|SAS)_KEY)(_|$)"
)


def _free(name: str) -> str:
    upper = name.upper()
    if upper in _THREADS:
        raise ValueError(f"{name} is set from resources.threads: set that")
    if upper in _OURS or upper.startswith(_OUR_PREFIXES):
        raise ValueError(f"{name} belongs to the pipeline or decides which code runs; it cannot be set here")
    return name


def _no_secret(name: str) -> str:
    if _SECRET.search(name.upper()):
        raise ValueError(
            f"{name} looks like the name of a secret, and a job file is no place for one: put it into the worker's "
            "environment and list its name in model.environment.pass"
        )
    return name


def _has_password(value: str) -> bool:
    """Whether a value, or a part of it between commas and blanks, is an address with a password."""
    return re.search(r"(^|[\s,;]|//)[^\s,;/:@]+:[^\s,;/@]+@", value) is not None


VariableName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200), AfterValidator(_free)
]
Value = Annotated[str, StringConstraints(max_length=4000), AfterValidator(plain)]


class Environment(Section):
    """Variables of the model's process."""

    set_: dict[Annotated[VariableName, AfterValidator(_no_secret)], Value] = Field(
        {}, alias="set", description="Variables and their values, as text."
    )
    pass_: tuple[VariableName, ...] = Field(
        (),
        alias="pass",
        strict=False,
        description="Names of variables that are taken from the worker's environment, where they are set there.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Environment:
        secret = [name for name, value in self.set_.items() if _has_password(value)]
        if secret:  # said of the section, so that the message does not repeat the value
            raise ValueError(
                f"set.{min(secret)}: the address holds a password, and a job file is no place for one: put the "
                "variable into the worker's environment and list its name in model.environment.pass"
            )
        twice = {name for name in self.pass_ if self.pass_.count(name) > 1 or name in self.set_}
        if twice:
            raise ValueError(f"{min(twice)} is named twice: set it, or pass it on from the worker")
        return self

    def passed(self) -> dict[str, str]:
        """The variables that are passed on from this process's environment."""
        return {name: os.environ[name] for name in self.pass_ if name in os.environ}
