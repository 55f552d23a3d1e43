"""Optuna's journal, for studies of weeks: the same file, and a quarter of the memory for each trial.

Optuna keeps every trial of a journal in memory. Most of what one takes there is the same in all of them (names and
distributions of its parameters), or needed for the last line only (where in the file it begins).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState


class Journal(JournalStorage):
    """Optuna's `JournalStorage` on a file; trials that it finishes, or finds finished, share what is the same."""

    def __init__(self, path: Path, lock: JournalFileSymlinkLock) -> None:
        super().__init__(_File(path, lock))
        self._distributions: dict[str, BaseDistribution] = {}  # those that differ, by their json: 1 == True
        for study in self.get_all_studies():
            for trial in self.get_all_trials(study._study_id, deepcopy=False):
                if trial.state.is_finished():  # until then its dictionaries grow
                    self._share(trial)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """As Optuna's; a trial that ends gives up its own copies."""
        changed = super().set_trial_state_values(trial_id, state, values)
        if state.is_finished():
            self._share(self.get_trial(trial_id))
        return changed

    def _share(self, trial: FrozenTrial) -> None:
        trial.params, trial.user_attrs = _interned(trial.params), _interned(trial.user_attrs)
        trial.distributions = {
            sys.intern(name): self._distributions.setdefault(distribution_to_json(distribution), distribution)
            for name, distribution in trial.distributions.items()
        }


def _interned(values: dict[str, Any]) -> dict[str, Any]:
    return {sys.intern(name): value for name, value in values.items()}


class _File(BaseJournalBackend):
    """Optuna's `JournalFileBackend`, which remembers one line's place instead of every line's."""

    def __init__(self, path: Path, lock: JournalFileSymlinkLock) -> None:
        self._path = path
        self._writer = JournalFileBackend(str(path), lock_obj=lock)  # makes the file
        self._place = (0, 0)  # the number of a line, and the byte where it begins

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines at the end, on the disk when this returns."""
        self._writer.append_logs(logs)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from a number on. The last is left out as long as another process is writing it.

        Raises:
            ValueError: a line is no json. Optuna's own reading lets the last one pass.
        """
        number, begin = self._place if self._place[0] <= log_number_from else (0, 0)
        with self._path.open("rb") as file:
            file.seek(begin)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                number, begin = number + 1, begin + len(line)
                if number > log_number_from:
                    content = json.loads(line)
                    self._place = (number, begin)
                    yield content
