"""What people see of a study as a whole in MLflow and optuna-dashboard: its note, its curve, its charts, its best."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hypevo.evolution.view import ENOUGH, view_of
from hypevo.messages import hidden
from hypevo.paste import pasted
from hypevo.problem.metrics import column
from hypevo.study.attributes import metrics_of
from hypevo.study.dashboard import write_note
from hypevo.study.notes import study_note
from hypevo.study.standing import standing
from hypevo.tracking.charts import view_path

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
        self._view(known)
        figures = self._figures(tally)
        for generation, best in tally.best_after:
            self._progress(generation, best, figures)
        self._mark(tally)
        self._describe()

    def finished(self, tally: Tally) -> None:
        """Show that another trial has a fitness."""
        count = len(tally.finished)
        if count == ENOUGH or (count == 1 and not self._metrics):  # only now it is known what there is to see
            self._view(metrics_of(tally.finished[0]))
        self._progress(*tally.best_after[-1], self._figures(tally))
        if tally.best is not None and tally.best.number != self._best:
            self._mark(tally)
            self._describe()

    def closing(self, tally: Tally) -> None:
        """Show how it stands in the end: which genes matter, and the noise, may be known since."""
        if len(tally.finished) >= ENOUGH and tally.best is not None:
            self._view(metrics_of(tally.best))
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

    def _view(self, known: Iterable[str]) -> None:
        self._tracker.add_view(*view_of(self._study, self._plan, self._metrics, known))

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
        command = pasted(["hypevo", *map(hidden, sys.argv[1:])])
        note = study_note(self._study, self._plan, command, self._settings.folder)
        if note != self._note:
            self._note = note
            self._tracker.describe(f"{note}\n\n{self._links()}")
            write_note(self._study, note)

    def _links(self) -> str:
        """Links from the description of the study's run to its trials, on the same server."""
        place = self._tracker.experiment_id, self._tracker.parent
        charts, table = (view_path(*place, charts=charts).removeprefix("/") for charts in (True, False))
        return f"[Its trials as charts]({charts}) · [as a table]({table})"
