"""The files that a study is exported to, written again after every trial: views of the study, never its source."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypevo.files import HeldError, write_atomically
from hypevo.protocol import InputError, Value
from hypevo.results.evolve_csv import EvolveCsv, Row, best_of
from hypevo.results.hyp_file import write_hyp_evolved, yaml_value
from hypevo.results.pictures.canvas import save
from hypevo.results.pictures.marks import Marks
from hypevo.study.attributes import OWN, metrics_of
from hypevo.study.pictures import IN_THE_END, marks_of, pictures
from hypevo.study.storage import METRICS, finished, load_plan

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from hypevo.problem.plan import Plan

_log = logging.getLogger(__name__)

CSV = "evolve.csv"
HYP, CONFIRMED, RECOMMENDED = "hyp_evolved.yaml", "hyp_confirmed.yaml", "hyp_recommended.yaml"


class Exports:
    """Writes evolve.csv, hyp_evolved.yaml and the pictures of one study into its folder."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        metrics: Sequence[str],
        still_ours: Callable[[], None] = lambda: None,
        marks: Callable[[], Marks] = Marks,
        *,
        ranked_by: str = "",
    ) -> None:
        self._ranked_by = ranked_by  # a fitness that is not the study's own: the yaml names it
        self._folder = folder
        self._marks = marks  # what the pictures hold the trials against
        self._still_ours = still_ours  # raises when the study is another driver's now
        self._plan = plan
        self._metrics = metrics  # empty when the trainer does not say
        self._csv: EvolveCsv | None = None
        self._count = 0  # trials that are in it
        self._best: tuple[Row, int] | None = None  # and its position
        self._held: set[str] = set()  # files that another program kept open the last time
        self.undrawn: dict[str, str] = {}  # pictures that the last call could not draw, and why
        self._pictures: dict[str, Path] = {}  # where the last ones are
        self._drawn_at = -math.inf
        self._drawing_took = 0.0

    def write(self, trials: Sequence[FrozenTrial], *, last: bool = False) -> list[Path]:
        """Write all of them from the finished trials, at least one, in the order in which they finished.

        Those of an earlier call come first, as they were. Pictures take a second or two, so among trials that are
        as short they wait until they cost no more than a tenth of the time; `last` draws them anyway, and those of the
        end too.

        One that another program holds open, as Excel does on Windows, is written beside it, and that is said.

        Returns:
            The files that are up to date.

        Raises:
            OSError: a file cannot be written; the older one is as it was.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for trial in trials[self._count :]:
            self._add(self.row(trial))
        if self._csv is None or self._best is None:
            raise ValueError("exports: expected at least one finished trial; got none")
        self._still_ours()
        csv, (best, position), last_one = self._csv, self._best, self._count - 1
        there = [
            self._put(CSV, csv.write),
            self._put(
                HYP,
                lambda path: write_hyp_evolved(
                    path, best, generation=position, last=last_one, ranked_by=self._ranked_by
                ),
            ),
        ]
        began = time.monotonic()
        if last or began - self._drawn_at > 10 * self._drawing_took:
            self.undrawn.clear()
            rows = [self.row(trial) for trial in trials]
            for name, make in pictures(rows, self._plan.space, self._marks()).items():
                if name in IN_THE_END and not last:
                    continue
                try:
                    path = self._put(name, lambda path, make=make: save(path, make, self._still_ours))  # type: ignore[misc]
                except ValueError as error:
                    self.undrawn[name] = str(error)
                    continue
                if path is not None:
                    self._pictures[name] = path
            self._drawn_at = time.monotonic()
            self._drawing_took = self._drawn_at - began
        return [path for path in (*there, *self._pictures.values()) if path is not None]

    def _put(self, name: str, write: Callable[[Path], None]) -> Path | None:
        """Write one file, or beside it; returns where it is now."""
        path = self._folder / name
        beside = path.with_name(f"{path.stem}.new{path.suffix}")
        try:
            write(path)
            if name in self._held:
                self._held.discard(name)
                beside.unlink(missing_ok=True)
            return path
        except HeldError as held:
            if name not in self._held:
                self._held.add(name)
                _log.warning("%s; until then the new one is %s", held, beside.name)
        try:
            write(beside)
            return beside
        except HeldError as held:
            _log.warning("%s", held)
            return None

    def _add(self, row: Row) -> None:
        if self._csv is None:
            self._csv = EvolveCsv(self._metrics, tuple(row.hyp))
        self._csv.add(row)
        if self._best is None or best_of([self._best[0], row]) is row:
            self._best = row, self._count
        self._count += 1

    def row(self, trial: FrozenTrial) -> Row:
        """A finished trial as a row of the csv."""
        return _row(trial, self._plan, self._metrics)


def rows_of(study: optuna.Study) -> list[Row]:
    """The finished trials of a study, in the order in which they finished."""
    plan, names = load_plan(study), study.user_attrs.get(METRICS, ())
    return [_row(trial, plan, names) for trial in finished(study)]


def _row(trial: FrozenTrial, plan: Plan, metrics: Sequence[str]) -> Row:
    if trial.value is None:
        raise ValueError(f"trial {trial.number} has no fitness")
    return Row(trial.number, metrics_of(trial, metrics), trained_with(trial, plan), trial.value)


def trained_with(trial: FrozenTrial, plan: Plan) -> dict[str, Value]:
    """The hyperparameters that a trial was trained with, each as what it is, in the space's order.

    An imported trial may have been trained with other values than the study could have given it.
    """
    values = {**plan.hyp, **trial.params, **trial.user_attrs.get(OWN, {})}
    return {name: plan.space[name].read(value) for name, value in values.items()}


def export_study(
    storage: str,
    study: str | None,
    folder: Path | None,
    fitness: str | None = None,
    tell: Callable[[str], None] = _log.warning,
) -> list[Path]:
    """Write the exports of a stored study, and what its sampler recommends; by default into `runs/evolve/STUDY`.

    Args:
        storage: Where the study is.
        study: Its name; the only one when left out.
        folder: Where to write. Files under another fitness get a folder of their own inside the study's.
        fitness: What to rank by; the study's own unless given.
        tell: Told what a user should know of a ranking by another fitness.

    Raises:
        InputError: no such study, nothing has finished in it, or it has not recorded what the fitness reads.
    """
    from hypevo.study.estimates import recommend
    from hypevo.study.rescore import load_ranked

    ranked = load_ranked(storage, study, fitness)
    for note in ranked.notes:
        tell(note)
    found = ranked.study
    plan = load_plan(found)
    trials = finished(found)
    if not trials:
        raise InputError(f"study «{found.study_name}» has no finished trial yet")
    folder = ranked.place(folder)
    exports = Exports(
        folder, plan, found.user_attrs.get(METRICS, ()), marks=lambda: marks_of(found),
        ranked_by=ranked.other_fitness,
    )  # fmt: skip
    paths = exports.write(trials, last=True)
    for name, why in exports.undrawn.items():
        tell(f"{name} is not drawn: {why}")
    recommended = {**plan.hyp, **recommend(found)}
    lines = [
        f"# hypevo: recommended by {len(trials)} trials of the study «{found.study_name}»: the mean of its elite",
        *(
            [f"# ranked by another fitness than the study's: {ranked.other_fitness}", "# not trained yet"]
            if ranked.other_fitness
            else ["# not trained yet; `hypevo confirm --recommended` measures it"]
        ),
        "",
        *(f"{gene}: {yaml_value(plan.space[gene].read(value))}" for gene, value in recommended.items()),
    ]
    write_atomically(folder / RECOMMENDED, "\n".join(lines) + "\n")
    return [*paths, folder / RECOMMENDED]
