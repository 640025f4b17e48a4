"""The trigger form: Airflow parameters made from the fields of `inference.request.Request`."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from inference.jobs.request import Request


def trigger_form() -> dict[str, Param]:
    """One typed, described parameter for each field."""
    schema = Request.model_json_schema()
    return {name: _param(name, field) for name, field in schema["properties"].items()}


def _param(name: str, field: dict[str, Any]) -> Param:
    form = {key: value for key, value in field.items() if key not in ("default", "anyOf", "title")}
    # Pydantic writes an optional field as anyOf [type, null]; Airflow's form wants one list of types.
    for choice in field.get("anyOf", []):
        if choice["type"] != "null":
            form |= {**choice, "type": [choice["type"], "null"]}
    return Param(field["default"], title=name.replace("_", " "), **form)
