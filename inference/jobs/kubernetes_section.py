"""`kubernetes` in a job file: where in a cluster a job's pods run, and what they find there."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from inference.jobs.field_types import Duration, Section


def _namespace(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise ValueError("not a DNS label: 1 to 63 lower-case letters, digits and dashes, with no dash at either end")
    return text


def _object_name(text: str) -> str:
    if len(text) > 253 or not all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", part) for part in text.split(".")):
        raise ValueError(
            "not a name of a Kubernetes object: at most 253 lower-case letters, digits, dashes and dots, "
            "beginning and ending with a letter or a digit"
        )
    return text


def _label_value(text: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", text):
        raise ValueError(
            "not a label's value: at most 63 letters, digits, dashes, underscores and dots, "
            "beginning and ending with a letter or a digit"
        )
    return text


def _label_key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if slash:
        _object_name(prefix)
    if not name:
        raise ValueError("not a label's key, such as `cloud.example/accelerator`")
    _label_value(name)
    return text


Namespace = Annotated[str, AfterValidator(_namespace)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]


class Toleration(Section):
    """A taint of nodes that the pods put up with."""

    key: LabelKey = Field(description="Key of the taint.")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="`Exists` tolerates any value.")
    value: LabelValue | None = Field(None, description="Value of the taint; with `Equal` only.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; without it, all effects."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Toleration:
        if self.operator == "Equal" and self.value is None:
            raise ValueError("value: is missing; for a taint with any value write operator: Exists")
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("value: operator: Exists tolerates any value; remove value, or write operator: Equal")
        return self


class Placement(Section):
    """Where the pods of the runner `kubernetes` run, and what they find there; other runners ignore it."""

    namespace: Namespace = Field("predictions", description="Namespace of the pods.")
    secret: ObjectName = Field(
        "prediction-connections",
        description="Secret of that namespace with the addresses of the connections, as `AIRFLOW_CONN_<NAME>`.",
    )
    service_account: ObjectName = Field(
        "default", description="Service account of the pods; they are never given its token."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        (), strict=False, description="Secrets that the nodes pull images with."
    )
    node_selector: dict[LabelKey, LabelValue] = Field({}, description="Labels that a node must have.")
    tolerations: tuple[Toleration, ...] = Field(
        (), strict=False, description="Taints that a node of the pods may have."
    )
    gpus: int = Field(0, ge=0, le=64, description="GPUs of one pod (`nvidia.com/gpu`).")
    start_timeout: Duration = Field(
        "15min", description="How long a pod may wait for a node and for its image; a new node takes minutes."
    )
