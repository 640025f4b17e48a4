"""Shows the errors of wrong job files as an import error of this file, which holds no DAG.

Airflow stops scheduling all DAGs of a file with an import error, so this is kept apart from `predictions.py`.
"""

from __future__ import annotations

from pathlib import Path

from batch_prediction import notices
from inference.errors import JobError
from inference.jobs.job import load_all

JOBS, ERRORS = load_all(Path(__file__).parent / "jobs")
for _job in JOBS.values():
    try:
        notices.callbacks(_job.notify.everybody)
    except JobError as error:
        ERRORS.append(JobError(f"{_job.name}.yaml: {error}"))
if ERRORS:
    raise JobError("\n".join(map(str, ERRORS)))
