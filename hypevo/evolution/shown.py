"""What people see of a study as a whole in MLflow and optuna-dashboard: its note, its curve, its charts, its best."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hypevo.evolution.view import view_of
from hypevo.messages import hidden
from hypevo.problem.metrics import column
from hypevo.study.attributes import metrics_of
from hypevo.study.notes import study_note
from hypevo.study.standing import standing

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from hypevo.problem.plan import Plan
    from hypevo.problem.settings import EvolveSettings
    from hypevo.study.tally import Tally
    from hypevo.tracking.tracker import Tracker


class Shown:
    """Keeps the study's own run in MLflow, and its note in optuna-dashboard, up to date."""

    def __init__(
        self,
        settings: EvolveSettings,
        plan: Plan,
        study: optuna.Study,
        tracker: Tracker,
        metrics: Sequence[str],
    ) -> None:
        """Prepare to show `study`; `metrics` are the names that its trainer declares."""
        self._settings = settings
        self._plan = plan
        self._study = study
        self._tracker = tracker
        self._metrics = metrics
        self._note = ""  # as it was written last
        self._best = -1  # the trial that is marked

    def opened(self, tally: Tally) -> None:
        """Show how the study stands when its driver begins: what an earlier one wrote may not have arrived."""
        known = () if tally.best is None else metrics_of(tally.best)
        self._tracker.add_view(*view_of(self._study, self._plan, self._metrics, known))
        figures = self._figures(tally)
        for generation, best in tally.best_after:
            self._progress(generation, best, figures)
        self._mark(tally)
        self._describe()

    def finished(self, tally: Tally) -> None:
        """Show that another trial has a fitness."""
        if not self._metrics and len(tally.finished) == 1:  # only now it is known what there is to see
            self._tracker.add_view(*view_of(self._study, self._plan, metrics_of(tally.finished[0])))
        self._progress(*tally.best_after[-1], self._figures(tally))
        if tally.best is not None and tally.best.number != self._best:
            self._mark(tally)
            self._describe()

    def closing(self) -> None:
        """Show how it stands in the end: the noise may be known since."""
        self._describe()

    def _figures(self, tally: Tally) -> dict[str, float]:
        """What the curve of the best is held against, as far as it is known: a line each beside it."""
        found = standing(self._study, trials=tally.noted)
        figures = {
            "untouched_fitness": found.untouched,
            "default_mean": found.default,
            "noise": found.noise,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def _progress(self, generation: int, best: FrozenTrial, figures: Mapping[str, float]) -> None:
        """Log the study's own curve: the best so far."""
        if best.value is not None:
            metrics = {column(name): value for name, value in metrics_of(best, self._metrics).items()}
            mine = {"fitness": best.value, "best_trial": float(best.number)}
            self._tracker.progress(generation, {**mine, **metrics, **figures})

    def _mark(self, tally: Tally) -> None:
        if tally.best is not None:
            self._best = tally.best.number
            self._tracker.crown(self._best)

    def _describe(self) -> None:
        command = shlex.join(["hypevo", *map(hidden, sys.argv[1:])])
        note = study_note(self._study, self._plan, command, self._settings.folder)
        if note != self._note:
            self._note = note
            self._tracker.describe(note)
