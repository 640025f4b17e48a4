"""The section `model.environment` of a job file: variables of the process that a model is loaded in."""

from __future__ import annotations

import os
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from inference.jobs.field_types import Section, plain

# The pipeline sets these, or they decide which code runs and where it leads.
_OURS = {
    "PATH", "HOME", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_DISABLE_SCHEMA_DETAILS",
    "MLFLOW_DISABLE_TELEMETRY", "THP_MEM_ALLOC_ENABLE",
}  # fmt: skip
_THREADS = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"}
_OUR_PREFIXES = ("PG", "AIRFLOW_", "INFERENCE_")
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


def _without_password(value: str) -> str:
    try:
        secret = urlsplit(value).password
    except ValueError:
        return value
    if secret:
        raise ValueError(
            "the address holds a password, and a job file is no place for one: put the variable into the worker's "
            "environment and list its name in model.environment.pass"
        )
    return value


VariableName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200), AfterValidator(_free)
]
Value = Annotated[str, StringConstraints(max_length=4000), AfterValidator(plain), AfterValidator(_without_password)]


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

    def passed(self) -> dict[str, str]:
        """The variables that are passed on from this process's environment."""
        return {name: os.environ[name] for name in self.pass_ if name in os.environ}
