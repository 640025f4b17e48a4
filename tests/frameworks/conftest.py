"""The company with its engine and MLflow, as in `tests/e2e`."""

from __future__ import annotations

from tests.e2e.docker_company import company, engine  # noqa: F401
