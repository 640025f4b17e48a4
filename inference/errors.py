"""What can go wrong, as one tree.

InferenceError
├── BadInput            what a person wrote is wrong: exit code 2, no retry
│   ├── JobError        a job file
│   └── RequestError    a trigger parameter or a command-line option
├── PermanentError      a retry cannot help: exit code 65
│   ├── ConfigurationError  a connection, role or setting is missing or wrong
│   ├── ModelError      the registered model cannot serve this job
│   ├── SourceError     the source's columns or keys cannot be used
│   ├── WorkLost        Postgres restarted and emptied the work tables
│   ├── TakenOver       a later attempt, plan or run owns this work now: exit code 66
│   ├── RunHeld         a person has to say whether the run may go on
│   └── CheckFailed     the results were computed, and are not fit to be published
└── RetryableError      the same work may succeed later: exit code 75
    ├── ProcessDied     the model ended its process: a segfault, an exit, a call that took too long
    ├── Unavailable     Postgres, MLflow, the Docker engine or the Kubernetes API did not answer
    └── Interrupted     stopped by a signal after finishing the chunk at hand

Each message says what, which value, and what to do.
"""

from __future__ import annotations


class InferenceError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 1


class BadInput(InferenceError):
    exit_code = 2


class JobError(BadInput):
    pass


class RequestError(BadInput):
    pass


class PermanentError(InferenceError):
    exit_code = 65


class ConfigurationError(PermanentError):
    pass


class ModelError(PermanentError):
    pass


class SourceError(PermanentError):
    pass


class WorkLost(PermanentError):
    pass


class TakenOver(PermanentError):
    exit_code = 66


class RunHeld(PermanentError):
    pass


class CheckFailed(PermanentError):
    pass


class RetryableError(InferenceError):
    exit_code = 75


class ProcessDied(RetryableError):
    pass


class Unavailable(RetryableError):
    pass


class Interrupted(RetryableError):
    pass


BY_EXIT_CODE = {cls.exit_code: cls for cls in (BadInput, PermanentError, TakenOver, RetryableError)}
