"""History: what a study's trials tell a sampler, kept up to date without rereading finished trials."""

from __future__ import annotations

import math
from bisect import insort
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ._proposal import LINEAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from ._genes import Genes


class Candidate(NamedTuple):
    """A finished trial that may become a parent; candidates sort best first."""

    violation: float  # total constraint violation, 0 = feasible
    loss: float  # the trial's value, negated where higher is better
    number: int
    trial: FrozenTrial

    @property
    def fitness(self) -> float:
        """What selection maximises: the value, or the lack of violation of a trial that is not feasible."""
        return -(self.violation or self.loss)


class Fitted(NamedTuple):
    """A model's parameters as a trial recorded them, for later trials to continue from."""

    number: int  # of the recording trial
    n_finished: int  # trials that the model was fitted to
    parameters: list[float]

    @classmethod
    def read(cls, trial: FrozenTrial) -> Fitted | None:
        """Return a trial's record, if it has one."""
        fitted = trial.system_attrs.get(LINEAGE, {}).get("fitted")
        return cls(trial.number, *fitted) if fitted else None


class History:
    """The trials of one study as a sampler sees them.

    A view of the study and nothing more: however often it was updated on the way, the same trials give the
    same history.

    Args:
        study: The study to follow.
        include_pruned: Whether pruned trials with a value may become parents.

    Attributes:
        candidates: Possible parents: feasible ones first, then better ones, then earlier ones.
        by_number: The same, oldest first.
        failed: Finished trials that are no candidates, oldest first.
        running: Trials that have started and not finished.
        ranges: Distributions by name of the newest finished trial that has parameters: those of today.
        fitted: The newest record of a fitted model in a finished trial.
    """

    def __init__(self, study: Study, *, include_pruned: bool) -> None:
        self._sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        self._usable = (TrialState.COMPLETE, TrialState.PRUNED) if include_pruned else (TrialState.COMPLETE,)
        self._n_read = 0
        self._last_number = -1
        self._pending: list[int] = []  # positions of trials that were unfinished when last read
        self._names: tuple[str, ...] = ()
        self._individuals: set[tuple[float, ...]] = set()  # values under _names of all finished trials
        self._running_individuals: set[tuple[float, ...]] = set()  # and of the running ones
        self._encoded_as: Mapping[str, BaseDistribution] = {}
        self._vectors: dict[int, NDArray[np.float64]] = {}  # encodings under _encoded_as by trial number
        self.candidates: list[Candidate] = []
        self.by_number: list[Candidate] = []
        self.failed: list[FrozenTrial] = []
        self.running: list[FrozenTrial] = []
        self.ranges: Mapping[str, BaseDistribution] = {}
        self._ranges_of = -1  # the trial's number
        self.fitted: Fitted | None = None

    def as_fitness(self, value: float) -> float:
        """Return a trial's value so that higher is better."""
        return -self._sign * value

    def update(self, trials: Sequence[FrozenTrial]) -> bool:
        """Take in the study's trials, all of them, by number.

        Returns:
            Whether ``trials`` continue those seen before; if not, start a new history.
        """
        if self._n_read and (
            len(trials) < self._n_read or trials[self._n_read - 1].number != self._last_number
        ):
            return False
        unread = [*self._pending, *range(self._n_read, len(trials))]
        self._pending = [i for i in unread if not trials[i].state.is_finished()]
        self.running = [trials[i] for i in self._pending if trials[i].state == TrialState.RUNNING]
        for i in unread:
            if trials[i].state.is_finished():
                self._add(trials[i])
        self._read_running()
        if trials:
            self._n_read, self._last_number = len(trials), trials[-1].number
        return True

    def best(self, n: int, names: Iterable[str] = ()) -> list[Candidate]:
        """Return up to ``n`` best candidates that have parameters, all of ``names`` among them.

        Infeasible ones are among them only where no feasible one has the parameters.
        """
        required = frozenset(names)
        found: list[Candidate] = []
        for candidate in self.candidates:
            if len(found) == n or (found and candidate.violation > 0 and found[0].violation == 0):
                break
            if candidate.trial.distributions and required <= candidate.trial.distributions.keys():
                found.append(candidate)
        return found

    def begun(self, number: int) -> list[FrozenTrial]:
        """Return the trials before ``number`` that run or have failed, by number."""
        trials = (trial for trial in (*self.failed, *self.running) if trial.number < number)
        return sorted(trials, key=lambda trial: trial.number)

    def knows(self, genes: Genes, vector: NDArray[np.float64]) -> bool:
        """Tell whether a finished or running trial is exactly this individual (genes,)."""
        names = tuple(genes.distributions)
        if names != self._names:
            self._names = names
            finished = (*(candidate.trial for candidate in self.candidates), *self.failed)
            self._individuals = {_values(trial, names) for trial in finished}
            self._read_running()
        values = tuple(vector.tolist())
        return values in self._individuals or values in self._running_individuals

    def encode(self, genes: Genes, trials: Iterable[FrozenTrial]) -> NDArray[np.float64]:
        """Return trials as vectors (n, genes), each encoded once."""
        if genes.distributions != self._encoded_as:
            self._encoded_as, self._vectors = genes.distributions, {}
        known = self._vectors
        vectors = []
        for trial in trials:
            if trial.number not in known:
                known[trial.number] = genes.encode(trial.params)
            vectors.append(known[trial.number])
        return np.array(vectors).reshape(-1, len(genes.distributions))

    def _read_running(self) -> None:
        self._running_individuals = {_values(trial, self._names) for trial in self.running}

    def _add(self, trial: FrozenTrial) -> None:
        value = trial.value if trial.state in self._usable else None
        if value is None or math.isnan(value):
            insort(self.failed, trial, key=_trial_number)
        else:
            candidate = Candidate(_violation(trial), self._sign * value, trial.number, trial)
            insort(self.candidates, candidate)
            insort(self.by_number, candidate, key=_candidate_number)
        self._individuals.add(_values(trial, self._names))
        if trial.params and trial.number > self._ranges_of:
            self.ranges, self._ranges_of = trial.distributions, trial.number
        fitted = Fitted.read(trial)
        if fitted and (self.fitted is None or fitted.number > self.fitted.number):
            self.fitted = fitted


def _candidate_number(candidate: Candidate) -> int:
    return candidate.number


def _trial_number(trial: FrozenTrial) -> int:
    return trial.number


def _violation(trial: FrozenTrial) -> float:
    """Return the total amount by which a trial exceeds its constraints (each is met at 0 or below)."""
    constraints: Mapping[str, float] = getattr(trial, "constraints", {})  # Optuna 4 has none
    total = sum(max(value, 0.0) for value in constraints.values())
    return math.inf if math.isnan(total) else total


def _values(trial: FrozenTrial, names: Sequence[str]) -> tuple[float, ...]:
    """Return a trial's values of the named parameters as numbers; a missing one equals nothing."""
    return tuple(
        trial.distributions[name].to_internal_repr(trial.params[name]) if name in trial.params else math.nan
        for name in names
    )
