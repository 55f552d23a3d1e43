"""The searches of `device_hours.py`: each trains epoch by epoch on an account of device time, until that is used up.

What is searched with is what a user would run: our sampler with the pruners of `hypevo evolve --pruner`, Optuna's TPE
with its Hyperband, TuRBO (`search_models.py`) without early stopping, and PriorBand.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import optuna
from priorband import PriorBand
from search_methods import our_sampler
from search_models import TrustRegion, model_search, turbo_prior
from search_problem import Problem

from hypevo.study.search import make_pruner
from samplers import recommend

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from device_trainings import Subject
    from numpy.typing import NDArray
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from priorband import Train

    Search = Callable[["Account"], None]
    Suggestion = Callable[[], NDArray[np.float64]]

NEPS = Path(__file__).parent / "peers" / "neps_priorband.py"
DIVERGED = 0.0  # fitness of a training that diverges
SEED = 0  # of all trainings of a search: `hypevo evolve --trial-seed fixed`, its default


class SpentError(Exception):
    """The device time is used up."""


@dataclass
class Account:
    """The device time of a search, and what it has to show for it.

    Attributes:
        subject: The training.
        seed: Seed of the search.
        marks: Epochs at which the search is asked what it would hand over; the last one ends it.
        slots: Trainings in flight.
        spent: Epochs so far.
        seconds: CPU-seconds of trainings so far.
        ended: Trainings that ran in full: epochs spent until then, fitness, point.
        begun: Number of trainings.
        times: CPU-seconds of trainings at each mark.
        handed: What the search itself would hand over at each mark, where it says so.
    """

    subject: Subject
    seed: int
    marks: Sequence[int]
    slots: int = 1
    spent: int = 0
    seconds: float = 0.0
    begun: int = 0
    ended: list[tuple[int, float, NDArray[np.float64]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    handed: list[NDArray[np.float64]] = field(default_factory=list)
    suggestion: Suggestion | None = None

    def training(self, point: NDArray[np.float64]) -> Generator[float]:
        """Begin a training; each epoch is paid for when its fitness is asked for, which ends with NaN if it diverges.

        Raises:
            SpentError: The device time is used up.
        """
        self.begun += 1
        with contextlib.closing(self.subject.fitness(point, SEED)) as values:
            for count in range(1, self.subject.epochs + 1):
                self._look()
                began = time.process_time()
                value = next(values)
                self.seconds += time.process_time() - began
                self.spent += 1
                if count == self.subject.epochs and not math.isnan(value):
                    self.ended.append((self.spent, value, point))
                yield value
                if math.isnan(value):
                    return

    def _look(self) -> None:
        """Ask at a mark what would be handed over: all that was trained so far has been told."""
        while len(self.times) < len(self.marks) and self.spent >= self.marks[len(self.times)]:
            self.times.append(self.seconds)
            if self.suggestion is not None:
                self.handed.append(self.suggestion())
        if self.spent >= self.marks[-1]:
            raise SpentError


def all_methods() -> dict[str, Search]:
    """Return every search by name; ours begin with the sampler's mode."""
    methods = {"classic": ours("classic", partial(make_pruner, "none"))}
    for pruner in ("none", "median", "halving", "hyperband"):  # those of `hypevo evolve --pruner`
        name = "adaptive" if pruner == "none" else f"adaptive+{pruner}"
        methods[name] = ours("adaptive", partial(make_pruner, pruner))
    for name, stop in OTHER_PRUNERS.items():
        methods[f"adaptive+{name}"] = ours("adaptive", stop)
    methods["tpe+hyperband"] = tpe(multivariate=False)
    methods["tpe-mv+hyperband"] = tpe(multivariate=True)
    methods["turbo"] = turbo
    for width in (0.1, 0.25):
        methods[f"priorband:{width}"] = partial(priorband, width)
    methods["neps"] = neps
    return methods


def halving(least: int, factor: int) -> BasePruner:
    """Return Optuna's successive halving without brackets: the best of ``factor`` go on from ``least`` epochs."""
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=factor)


# Pruners that `hypevo evolve` does not have, to find out whether it should.
OTHER_PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "halving-1-2": lambda: halving(1, 2),
    "halving-3-3": lambda: halving(3, 3),
    "halving-9-3": lambda: halving(9, 3),
    "median-late": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=8),
    "quarter": lambda: optuna.pruners.PercentilePruner(75.0, n_startup_trials=5, n_warmup_steps=2),
}

# Left out unless asked for; NePS comes from the registry, where there is one.
ON_REQUEST = {"neps", *(f"adaptive+{name}" for name in OTHER_PRUNERS)}


def ours(mode: str, pruner: Callable[[], BasePruner]) -> Search:
    """Return a search with our sampler; what it hands over is `recommend(study)`."""

    def search(account: Account) -> None:
        sampler = our_sampler(mode, account.subject.problem, account.seed)
        study = create_study(sampler, pruner(), account)
        problem = account.subject.problem
        account.suggestion = lambda: problem.point(recommend(study)) if account.ended else problem.start
        optimize(study, account)

    return search


def tpe(*, multivariate: bool) -> Search:
    """Return a search with Optuna's TPE and Hyperband; the default is enqueued."""

    def search(account: Account) -> None:
        sampler: BaseSampler = optuna.samplers.TPESampler(
            seed=account.seed, multivariate=multivariate, constant_liar=account.slots > 1
        )
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, reduction_factor=3)
        study = create_study(sampler, pruner, account)
        study.enqueue_trial(account.subject.problem.params(account.subject.problem.start))
        optimize(study, account)

    return search


def create_study(sampler: BaseSampler, pruner: BasePruner, account: Account) -> optuna.Study:
    """Return a study with a name: Hyperband draws a trial's bracket from it."""
    return optuna.create_study(
        direction="maximize",
        sampler=sampler,
        pruner=pruner,
        study_name=f"{account.subject.name} {account.seed}",
    )


def optimize(study: optuna.Study, account: Account) -> None:
    """Train one trial after the other, or several in turn, an epoch each; a diverged one is complete with 0."""
    problem = account.subject.problem
    running: deque[tuple[optuna.Trial, Generator[float], list[float]]] = deque()
    while True:
        while len(running) < account.slots:
            trial = study.ask(dict(problem.space))
            running.append((trial, account.training(problem.point(trial.params)), []))
        trial, training, values = running.popleft()
        value = next(training)
        if math.isnan(value):
            study.tell(trial, DIVERGED)
            continue
        trial.report(value, step=len(values))
        values.append(value)
        if len(values) == account.subject.epochs:
            study.tell(trial, value)
            training.close()
        elif trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            training.close()
        else:
            running.append((trial, training, values))


def turbo(account: Account) -> None:
    """Search with TuRBO-1 from a local start, every training in full."""
    problem = account.subject.problem

    def measure(point: NDArray[np.float64]) -> float:
        value = list(account.training(point))[-1]
        return DIVERGED if math.isnan(value) else value

    whole = Problem(problem.space, problem.start, measure, problem.gains)
    n = 10 * account.marks[-1]  # the device time ends it before
    model_search(TrustRegion, turbo_prior, slots=account.slots)(whole, n, account.seed)


def continued(account: Account) -> tuple[Train, Callable[[int], None]]:
    """Return what trains a point, by its training's key, from where it is to so many epochs; and what drops one."""
    under_way: dict[int, tuple[Generator[float], list[float]]] = {}
    problem = account.subject.problem

    def train(key: int, point: NDArray[np.float64], epochs: int) -> float:
        # An integer gene is trained with at a whole number: the point that is handed over is that one.
        known = under_way.setdefault(key, (account.training(problem.point(problem.params(point))), []))
        while len(known[1]) < epochs and (value := next(known[0], None)) is not None:
            known[1].append(
                -1.0 if math.isnan(value) else value
            )  # below one that learns nothing in its first epoch
        return known[1][-1]

    def drop(key: int) -> None:
        under_way.pop(key)[0].close()

    return train, drop


def priorband(width: float, account: Account) -> None:
    """Search with PriorBand; a training that is promoted goes on."""
    start, epochs = account.subject.problem.start, account.subject.epochs
    band = PriorBand(start, epochs, width, np.random.default_rng(account.seed))
    band.search(*continued(account), account.slots)


def neps(account: Account) -> None:
    """Search with the PriorBand of its authors' package, in a process and an environment of its own."""
    train, _ = continued(account)
    command = ["uv", "run", "--no-project", "--quiet", "--script", str(NEPS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        start = account.subject.problem.start.tolist()
        said = {"epochs": account.subject.epochs, "prior": start, "seed": account.seed}
        with contextlib.closing(process.stdin):
            process.stdin.write(json.dumps(said) + "\n")
            for line in process.stdout:
                asked = json.loads(line)
                fitness = train(asked["key"], np.array(asked["point"]), asked["epochs"])
                process.stdin.write(json.dumps({"fitness": fitness}) + "\n")
    raise SystemExit(f"{' '.join(command)}: expected it to go on, got its end with {process.returncode}")
