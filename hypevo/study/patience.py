"""A database server that is away for a while is waited for, instead of ending a study of weeks."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy.exc import InterfaceError, OperationalError

LONGEST_WAIT = 600.0  # seconds until the work ends with an error
_PAUSE = 1.0  # seconds between tries

# What Optuna's cache in front of the storage calls.
_METHODS = (
    "create_new_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "_create_new_trial", "_set_trial_param", "get_trial_id_from_study_id_trial_number",
    "_get_best_trial_id", "set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr",
    "set_trial_system_attr", "get_trial", "_get_trials",
)  # fmt: skip


class PatientStorage(RDBStorage):
    """Optuna's storage in a database, which repeats a call until the server answers, for ten minutes at most.

    A call whose answer was lost may have been carried out: all but one kind bear repetition. A trial that was created
    twice is found as an interrupted one by the next start.
    """

    def __init__(self, address: str, tell: Callable[[str], None], **options: Any) -> None:
        """Connect to `address`; `tell` is told when the server is away, and when it is back."""
        super().__init__(address, **options)
        self._tell = tell
        self._away = threading.Lock()

    def until_it_answers(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """The result of a call of the storage.

        Raises:
            StorageInternalError: the server did not come back, or refused the call.
        """
        deadline = time.monotonic() + LONGEST_WAIT
        told = tried = False
        while True:
            try:
                result = call(self, *args, **options)
            except UpdateFinishedTrialError:
                if not tried:
                    raise
                result = True  # the try whose answer was lost had been carried out
            except (StorageInternalError, OperationalError, InterfaceError) as error:
                if not _is_away(error) or time.monotonic() > deadline:
                    raise
                if not tried:
                    told = self._away.acquire(blocking=False)  # of several threads one tells
                    if told:
                        self._tell(
                            f"the database does not answer ({reason(error)}); waiting up to "
                            f"{LONGEST_WAIT / 60:g} minutes for it, Ctrl-C twice leaves at once"
                        )
                tried = True
                time.sleep(_PAUSE)
                continue
            if told:
                self._away.release()
                self._tell("the database answers again")
            return result


def _patient(name: str) -> Callable[..., Any]:
    original = getattr(RDBStorage, name)

    @functools.wraps(original)
    def method(self: PatientStorage, *args: Any, **options: Any) -> Any:
        return self.until_it_answers(original, *args, **options)

    return method


for _name in _METHODS:
    setattr(PatientStorage, _name, _patient(_name))


def _is_away(error: BaseException) -> bool:
    """Whether an error is one of the connection, not of what was asked; Optuna wraps it, and may have tried again."""
    return any(isinstance(one, OperationalError | InterfaceError) for one in _chain(error))


def reason(error: BaseException) -> str:
    """What the server, or the way to it, said, in one line."""
    causes = list(_chain(error))
    cause = next((one for one in causes if isinstance(one, OperationalError | InterfaceError)), causes[-1])
    return str(getattr(cause, "orig", cause)).strip().split("\n")[0][:200]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
