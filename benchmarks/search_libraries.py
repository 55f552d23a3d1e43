"""Peers as their authors' libraries have them: BoTorch in this process, HEBO in a process of its own.

Both start with the default and eleven points around it, N(0, 0.1) in the unit cube, as `search_models.py` does. BoTorch
is an ordinary user's: `SingleTaskGP` with its own dimension-scaled prior, and qLogNoisyExpectedImprovement ("nei") or
LogExpectedImprovement over the best posterior mean ("ei"); it shows whether our `log-ei` is a fair one. Trials in
flight are its pending points; HEBO proposes as many points at once as trials are in flight.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import IntDistribution
from search_methods import asked_and_told
from search_problem import local_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from search_methods import Asked
    from search_problem import Method, Problem, Run

_N_START = 12
_LEAST = 4  # observations of the first model
_HEBO = Path(__file__).parent / "peers" / "hebo_mace.py"


def botorch(acquisition: str, *, slots: int = 1) -> Method:
    """Return a method that follows BoTorch's process by "nei" or "ei"."""
    return asked_and_told(partial(Botorch, acquisition), slots=slots)


class Botorch:
    """A BoTorch model and acquisition function, fitted anew for each proposal."""

    def __init__(self, acquisition: str, problem: Problem, seed: int) -> None:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self._acquisition, self._problem = acquisition, problem
        self._rng = np.random.default_rng(seed)
        self._start = local_start(problem.start, _N_START, self._rng)
        self._points: list[NDArray[np.float64]] = []
        self._fitness: list[float] = []
        self._running: list[NDArray[np.float64]] = []

    def ask(self) -> Asked:
        """Return the next point and None."""
        if self._start:
            point = self._start.pop(0)
        elif len(self._points) < _LEAST:
            point = local_start(self._problem.start, 2, self._rng)[1]
        else:
            point = self._propose()
        point = self._problem.point(self._problem.params(point))
        self._running.append(point)
        return point, None

    def tell(self, point: NDArray[np.float64], mark: Any, fitness: float) -> None:  # noqa: ARG002
        """Learn a fitness."""
        self._running = [other for other in self._running if other is not point]
        self._points.append(point)
        self._fitness.append(fitness)

    def _propose(self) -> NDArray[np.float64]:
        import torch
        from botorch.acquisition.analytic import LogExpectedImprovement
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.exceptions.errors import ModelFittingError
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim.optimize import optimize_acqf
        from botorch.sampling.normal import SobolQMCNormalSampler
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x = torch.tensor(np.array(self._points), dtype=torch.double)
        y = np.array(self._fitness)
        # Crashes lie far out: as far below the median as three times the best lies above it, as in our sampler.
        y = np.maximum(y, np.median(y) - 3 * (y.max() - np.median(y)))
        model: Any = SingleTaskGP(x, torch.tensor(y)[:, None], outcome_transform=Standardize(1))
        pending = torch.tensor(np.array(self._running), dtype=torch.double) if self._running else None
        with warnings.catch_warnings(action="ignore"):
            with contextlib.suppress(ModelFittingError):  # then the prior's hyperparameters serve
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            if self._acquisition == "nei":
                sampler = SobolQMCNormalSampler(torch.Size([64]))
                acquisition: Any = qLogNoisyExpectedImprovement(
                    model, x, sampler=sampler, prune_baseline=True, X_pending=pending
                )
            else:
                with torch.no_grad():
                    if pending is not None:  # running trials count at their posterior mean, as in `log-ei`
                        model = model.condition_on_observations(pending, model.posterior(pending).mean)
                    best = model.posterior(x).mean.max()
                acquisition = LogExpectedImprovement(model, best)
            found, _ = optimize_acqf(
                acquisition,
                torch.stack([torch.zeros(x.shape[1]), torch.ones(x.shape[1])]).double(),
                q=1,
                num_restarts=2,
                raw_samples=128,
                options={"sample_around_best": True, "maxiter": 40},
            )
        return np.asarray(found[0].numpy())


def hebo(*, slots: int = 1) -> Method:
    """Return a method that runs HEBO; its CPU time includes that of starting it."""

    def run(problem: Problem, n: int, seed: int) -> Run:
        with Hebo(slots, problem, seed) as peer:
            same: Callable[[Problem, int], Hebo] = lambda *_: peer  # noqa: E731
            return asked_and_told(same, slots=slots)(problem, n, seed)

    return run


class Hebo:
    """HEBO behind lines of JSON; where this Python has it, this Python runs it, otherwise `uv` brings it."""

    def __init__(self, slots: int, problem: Problem, seed: int) -> None:
        self._problem = problem
        self._start = local_start(problem.start, _N_START, np.random.default_rng(seed))
        python = ["uv", "run", "--no-project", "--quiet", "--script"]
        if importlib.util.find_spec("hebo") is not None:
            python = [sys.executable]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed on exit
        self._process = subprocess.Popen(
            [*python, str(_HEBO)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._say({"space": _design(problem), "together": slots, "seed": seed})

    def __enter__(self) -> Hebo:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()

    def ask(self) -> Asked:
        """Return the next point and None; RuntimeError if the process ended."""
        if self._start:
            return self._start.pop(0), None
        self._say({"ask": True})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or ["it said nothing"]
            raise RuntimeError(f"expected a proposal of {_HEBO.name}, got its end: {said[-1]}")
        return self._problem.point(json.loads(line)["params"]), None

    def tell(self, point: NDArray[np.float64], mark: Any, fitness: float) -> None:  # noqa: ARG002
        """Learn a fitness."""
        self._say({"params": self._problem.params(point), "loss": -fitness})

    def _say(self, said: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: the next question says so
            print(json.dumps(said), file=self._process.stdin, flush=True)


def _design(problem: Problem) -> list[dict[str, Any]]:
    """Return the space as HEBO's DesignSpace reads it."""
    kinds = [
        "int" if isinstance(d, IntDistribution) else "pow" if d.log else "num" for d in problem.space.values()
    ]
    return [
        {"name": name, "type": kind, "lb": d.low, "ub": d.high}
        for kind, (name, d) in zip(kinds, problem.space.items(), strict=True)
    ]
