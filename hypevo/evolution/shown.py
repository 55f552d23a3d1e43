"""What people see of a study in MLflow and optuna-dashboard: notes, curve, charts, pictures, and which is the best."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypevo.evolution.view import view_of
from hypevo.messages import hidden
from hypevo.paste import pasted
from hypevo.problem.metrics import column
from hypevo.study.artifacts import pictures_in, show_pictures
from hypevo.study.attributes import LINEAGE, ORIGIN, metrics_of
from hypevo.study.dashboard import write_note, write_trial_note
from hypevo.study.exports import CSV, HYP
from hypevo.study.importance import ENOUGH
from hypevo.study.notes import study_note, trial_note
from hypevo.study.pictures import EVOLVE, HISTORY
from hypevo.study.standing import standing
from hypevo.tracking.address import HOST, PORT, page_of
from hypevo.tracking.charts import artifact_path, run_path, view_path
from hypevo.tracking.titles import NOTE, failure_note

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

    from hypevo.problem.plan import Plan
    from hypevo.problem.settings import EvolveSettings
    from hypevo.study.tally import Tally
    from hypevo.tracking.tracker import Tracker
    from hypevo.trainings.record import Result


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

    def ending(self, trial: Trial, folder: Path, result: Result) -> None:
        """Show in optuna-dashboard what a trial has left, and how it went, just before it ends there."""
        show_pictures(self._study, self._settings.folder, pictures_in(folder), trial)
        attributes = trial.user_attrs
        note = trial_note(attributes.get(ORIGIN), attributes.get(LINEAGE))
        if result.failure is None:
            note = f"Fitness {result.fitness:.5f}.\n\n{note}".rstrip()
        else:
            note = failure_note(result.failure, result.reason, note)
        if run := self._tracker.run_id(trial.number):
            note += f"\n\n{self._in_mlflow('Its run in MLflow', run_path(self._tracker.experiment_id, run))}"
        write_trial_note(self._study, trial._trial_id, note)

    def drawn(self, files: Iterable[Path]) -> None:
        """Show in optuna-dashboard the pictures of the study among its files."""
        pictures = [path for path in files if path.suffix == ".png"]
        show_pictures(self._study, self._settings.folder, pictures)

    def closing(self, tally: Tally) -> None:
        """Show how it stands in the end: which genes matter, and the noise, may be known since."""
        if len(tally.finished) >= ENOUGH and tally.best is not None:
            self._view(metrics_of(tally.best))
        self._describe()

    def _figures(self, tally: Tally) -> dict[str, float]:
        """What the curve of the best is held against, as far as it is known: a line each beside it."""
        found = standing(self._study, trials=tally.noted, among=len(tally.finished))
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
            self._tracker.describe(f"{self._links()}\n\n{note}")  # a long one is folded: links first
            link = self._in_mlflow(
                "Its run in MLflow", run_path(self._tracker.experiment_id, self._tracker.parent)
            )
            write_note(self._study, f"{note}\n\n{link}")

    def _in_mlflow(self, words: str, path: str) -> str:
        """A link from optuna-dashboard: to the team's server, or to where this machine shows its own store."""
        store = self._tracker.store.uri
        if store.startswith("http"):
            return f"[{words}]({page_of(store)}{path})"
        return f"[{words}](http://{HOST}:{PORT}{path}), while `hypevo ui` or `mlflow ui` runs"

    def _links(self) -> str:
        """Links from the description of the study's run to its trials and its files, on the same server."""
        place = self._tracker.experiment_id, self._tracker.parent
        charts, table = (view_path(*place, charts=charts).removeprefix("/") for charts in (True, False))
        files = [
            f"[{name}]({artifact_path(*place, name).removeprefix('/')})"
            for name in (HYP, CSV, EVOLVE, HISTORY)
        ]
        return f"[Its trials as charts]({charts}) · [as a table]({table}) · {' · '.join(files)}"


def origin_tags(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Where a trial's values come from, as its run in MLflow says it.

    Args:
        attributes: Of the trial.
    """
    tags = {f"hypevo.{key}": str(attributes[key]) for key in (ORIGIN, LINEAGE) if key in attributes}
    note = trial_note(attributes.get(ORIGIN), attributes.get(LINEAGE))
    return {**tags, NOTE: note} if note else tags
