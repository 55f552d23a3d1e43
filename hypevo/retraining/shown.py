"""What people see of a confirmation: its run in MLflow, the study's notes, verdict.json, confirm.png."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from hypevo.files import write_atomically
from hypevo.messages import hidden, inline, literal
from hypevo.problem.settings import ConfirmSettings
from hypevo.results.pictures.canvas import save
from hypevo.results.pictures.pairs import confirm_figure
from hypevo.retraining.confirmation import Confirmation
from hypevo.retraining.verdict import Verdict
from hypevo.study.dashboard import change_note
from hypevo.study.notes import renewed
from hypevo.study.pictures import CONFIRM
from hypevo.study.storage import PARENT_RUN, load_plan
from hypevo.tracking import verdict as tracked
from hypevo.tracking.charts import run_path
from hypevo.tracking.provenance import provenance
from hypevo.tracking.runs import KIND
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings.child import Prepared
from hypevo.trainings.work import Watcher

VERDICT_FILE = "verdict.json"
_RUN = "mlflow_run"  # in a confirmation's folder: the id of its run


class Shown:
    """Keeps the run of a confirmation."""

    def __init__(
        self,
        settings: ConfirmSettings,
        study: optuna.Study,
        trained: Mapping[str, Any],
        prepared: Prepared,
        folder: Path,
        watcher: Watcher,
    ) -> None:
        """Open the run: that of an earlier call in this folder, or a new one below the study's.

        Args:
            settings: What was asked for.
            study: What is confirmed.
            trained: The trainer's settings that the trainings run with.
            prepared: What the trainer made of them.
            folder: The confirmation's.
            watcher: Told what a user should know.

        Raises:
            InputError: MLflow does not answer, or refuses.
        """
        store = Store.default()
        self._study = study
        self._watcher = watcher
        self._above = _above(study, store, watcher)
        self._title = "confirm" if self._above else f"confirm {study.study_name}"
        self.tracker = Tracker(
            f"{study.study_name} confirmed",
            store,
            weights=settings.keep_weights == "all",
            tell=watcher.message,
            title=self._title,
        )
        known = folder / _RUN
        run = self.tracker.open(
            known.read_text(encoding="utf-8") if known.exists() else None,
            experiment=settings.experiment or (self._above.experiment if self._above else None),
            params={
                "fitness": load_plan(study).fitness,
                **{f"trainer.{key}": value for key, value in trained.items()},
            },
            tags={
                **provenance(prepared.fingerprint, prepared.versions),
                KIND: "confirmation",
                **(self._above.tags if self._above else {}),
            },
            dataset=trained.get("data"),
            fingerprint=prepared.fingerprint,
        )
        write_atomically(known, run)

    @property
    def page(self) -> tuple[str, str]:
        """Where MLflow shows it: the store's address, and the path of the page."""
        return self.tracker.store.uri, run_path(self.tracker.experiment_id, self.tracker.parent)

    def judged(self, confirmation: Confirmation) -> None:
        """Show the verdict."""
        written = confirmation.to_dict()
        path, picture = (confirmation.folder / name for name in (VERDICT_FILE, CONFIRM))
        write_atomically(path, json.dumps(written, indent=1))
        try:
            save(picture, lambda: confirm_figure(written))
        except OSError as error:
            self._watcher.message(f"{picture} is not written ({error}); `hypevo plot` draws it again")
        leading = confirmation.leading
        tags = {"hypevo.verdict": leading.word, "hypevo.candidate": leading.candidate}
        self.tracker.judge(
            tracked.Verdict(
                title=f"{self._title} · {leading.word}",
                metrics=_metrics(confirmation),
                tags={**tags, "hypevo.look": str(confirmation.look)},
                note=_note(confirmation),
                files=(path, picture),
                above=self._above,
                study_tags=tags,
                study_note=lambda note: renewed(note, self._study),
            )
        )
        change_note(self._study, lambda note: renewed(note, self._study))


def _above(study: optuna.Study, store: Store, watcher: Watcher) -> tracked.Above | None:
    run = study.user_attrs.get(PARENT_RUN)
    if run is None:
        return None  # an imported study that was never evolved
    above = tracked.found_above(store, run, watcher.message)
    if above is None:
        watcher.message(
            f"the study's run {run} is not in MLflow at {hidden(store.uri)}, or was deleted there: the confirmation "
            f"gets a run that stands by itself"
        )
    return above


def _metrics(confirmation: Confirmation) -> dict[str, float]:
    """The leading candidate's under plain names; of several candidates, each one's under its own."""
    verdicts, leading = confirmation.verdicts, confirmation.leading
    found = {"seeds": float(confirmation.seeds), **_figures(leading)}
    if len(verdicts) > 1:
        for one in verdicts:
            found |= {f"{one.candidate}/{name}": value for name, value in _figures(one).items()}
    return found


def _figures(verdict: Verdict) -> dict[str, float]:
    found = {
        "gain": verdict.gain,
        "gain_low": verdict.gain - verdict.half_width,
        "gain_high": verdict.gain + verdict.half_width,
        "pairs": float(verdict.pairs),
        "candidate_fitness": verdict.fitness,
        "default_fitness": verdict.default_fitness,
        "untouched_fitness": verdict.untouched,
        "untouched_gain": verdict.untouched_gain,
    }
    return {name: value if math.isfinite(value) else math.nan for name, value in found.items()}


def _note(confirmation: Confirmation) -> str:
    *said, onward = confirmation.sentences
    untouched = confirmation.untouched
    lines = [
        f"Default: {_number(confirmation.default_fitness)}, the mean over the seeds",
        f"Untouched weights: {_number(untouched.fitness if untouched else None)}",
        f"Seeds, none of the search's: {confirmation.seeds}",
    ]
    what = (
        f"Candidates of the study «{inline(confirmation.study)}» and its default, trained with fresh seeds."
    )
    return "\n\n".join(
        [
            what,
            "\n".join(f"- **{inline(str(one))}**" for one in confirmation.verdicts),
            "\n".join(f"- {inline(line)}" for line in [*lines, *said[len(confirmation.verdicts) :]]),
            f"Files:\n\n{literal(str(confirmation.folder.resolve()))}",
            f"Next:\n\n{literal(onward.removeprefix('next: '))}",
        ]
    )


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"
