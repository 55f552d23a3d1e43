"""Open a study to work on it: as its only driver, mended after a crash, and under the plan it was begun with."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import optuna

from hypevo.problem.plan import Plan
from hypevo.study.lease import lease, lock
from hypevo.study.storage import begin_study, check_plan, create_study, journal, open_storage

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def driven_study(
    address: str,
    name: str,
    plan: Plan,
    pruner: optuna.pruners.BasePruner,
    *,
    said: Callable[[str], None] = _log.warning,
    lost: Callable[[], None] = lambda: None,
) -> Iterator[optuna.Study]:
    """A study, made if it is not there, that nobody else works on meanwhile.

    Args:
        address: The storage, an Optuna URL or a journal file.
        name: The study.
        plan: What makes it this study.
        pruner: The pruner of the trials to come.
        said: Told what a user should know.
        lost: Called from another thread if another driver took the study over (see `lease`).

    Raises:
        InputError: another driver has it, it has another plan, or the storage cannot be opened.
    """
    path = journal(address)
    with contextlib.ExitStack() as held:
        if path is not None:
            held.enter_context(lock(path, name))
        storage = open_storage(address)
        check_plan(storage, name, plan)
        study = create_study(storage, name, pruner)
        if path is None:
            held.enter_context(lease(study, said, lost))
        begin_study(study, plan)
        yield study
