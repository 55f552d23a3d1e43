"""What a failure of MLflow means: a refusal, something for the user to mend, or a store that is away for a while."""

from __future__ import annotations

import re
from importlib.metadata import version

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from hypevo.messages import hidden

# What a store that is away, or no store, raises.
FAILURES = (MlflowException, SQLAlchemyError, OSError, ImportError)
_REFUSALS = (
    *("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"),
    "FEATURE_DISABLED",
)
_SCHEMA = re.compile(r"found version (\w+), but expected (\w+)")
_START = "Start the server, or set MLFLOW_TRACKING_URI to a store that can be reached"


def refused(error: BaseException) -> bool:
    """Whether MLflow is there and will not take this, now or later."""
    return isinstance(error, UnicodeError) or (
        isinstance(error, MlflowException) and error.error_code in _REFUSALS
    )


def passing(error: BaseException) -> bool:
    """Whether waiting may help: the store is away, or busy."""
    return not refused(error) and _to_mend(error, "") is None


def explained(error: BaseException, uri: str) -> str:
    """Two lines: what is wrong with the store at `uri`, and what to do."""
    uri = hidden(uri)
    return _to_mend(error, uri) or f"MLflow at {uri} does not answer: {line(error)}\n{_START}"


def line(error: BaseException) -> str:
    """The first line of an error's message, without passwords."""
    return hidden(str(error).strip().split("\n")[0][:300])


def _to_mend(error: BaseException, uri: str) -> str | None:
    """What the user has to do; None for a failure that says only that nobody answers."""
    code, said = getattr(error, "error_code", None), str(error)
    if code == "UNAUTHENTICATED":
        return (
            f"MLflow at {uri} does not know you (401): {line(error)}\n"
            f"Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if code == "PERMISSION_DENIED":
        return (
            f"MLflow at {uri} forbids this (403): {line(error)}\n"
            f"Ask its owner for the right to write, or set MLFLOW_TRACKING_URI to another store"
        )
    if code == "ENDPOINT_NOT_FOUND":
        return (
            f"The server at {uri} answers, and is no MLflow server (404): {line(error)}\n"
            f"Set MLFLOW_TRACKING_URI to the address of an MLflow server, without a path after it"
        )
    if "not in a valid JSON format" in said:
        what = "a web page" if re.search(r"<(!doctype|html)", said, re.IGNORECASE) else "something else"
        return (
            f"The server at {uri} answers with {what}, not as MLflow does: a proxy or a login page, perhaps\n"
            f"Open the address in a browser; set MLFLOW_TRACKING_URI to MLflow's own address, "
            f"and NO_PROXY or MLFLOW_TRACKING_TOKEN if it needs them"
        )
    if found := _SCHEMA.search(said):
        return (
            f"MLflow's database at {uri} is of another version of MLflow: expected schema {found[2]} "
            f"(mlflow {version('mlflow')}), got {found[1]}\n"
            f"If it is older: copy it, then `mlflow db upgrade {uri}`. If it is newer: install that MLflow"
        )
    if isinstance(error, (ImportError, ArgumentError)) or "unsupported URI" in said:
        return f"MLflow at {uri} does not answer: {line(error)}\n{_START}"
    return None
