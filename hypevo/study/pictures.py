"""The pictures of a study or of a csv: which there are, and what each is told."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from hypevo.results.evolve_csv import Row
from hypevo.results.pictures.canvas import Drawing
from hypevo.results.pictures.genes import evolve_figure
from hypevo.results.pictures.history import history_figure
from hypevo.results.pictures.importance import importance_figure
from hypevo.results.pictures.lineage import lineage_figure
from hypevo.results.pictures.marks import Marks
from hypevo.study.attributes import LINEAGE
from hypevo.study.importance import importances_of
from hypevo.study.standing import standing
from hypevo.study.storage import load_plan

if TYPE_CHECKING:
    import optuna

    from hypevo.problem.space import Space

EVOLVE, HISTORY = "evolve.png", "history.png"
IMPORTANCE, LINEAGE_OF_BEST = "importance.png", "lineage.png"
IN_THE_END = (IMPORTANCE, LINEAGE_OF_BEST)  # drawn when a driver ends, and when they are asked for
CONFIRM = "confirm.png"  # in the folder of a confirmation, beside its verdict.json
SHOWS = {
    EVOLVE: "The fitness over each gene's value: a dot for each trial, the darker the later.",
    HISTORY: "The fitness of each trial in its order, and the best so far.",
    IMPORTANCE: "In which genes the best tenth of the trials differs from all of them (PED-ANOVA).",
    LINEAGE_OF_BEST: "How the best came about: from each trial to the fittest of its parents, and what changed.",
    CONFIRM: "The best against the default with fresh seeds, and the interval of the difference.",
}


def pictures(rows: Sequence[Row], space: Space | None, marks: Marks) -> dict[str, Drawing]:
    """What draws each picture, by file name.

    Args:
        rows: Finished individuals, the oldest first.
        space: Their genes, if they are known.
        marks: What they are held against.
    """
    return {
        EVOLVE: functools.partial(evolve_figure, rows, space, marks),
        HISTORY: functools.partial(history_figure, rows, marks),
        IMPORTANCE: functools.partial(
            importance_figure, rows, functools.partial(importances_of, rows, space), marks
        ),
        LINEAGE_OF_BEST: functools.partial(lineage_figure, rows, space, marks),
    }


def marks_of(study: optuna.Study) -> Marks:
    """What the trials of a study are held against, all of it as it is recorded."""
    known, plan = standing(study), load_plan(study)
    trials = study.get_trials(deepcopy=False)
    return Marks(
        default=known.default,
        hyp=plan.hyp,
        untouched=known.untouched,
        band=known.band,
        beside=known.beside,
        failed=[one.number for one in trials if one.state in (TrialState.FAIL, TrialState.PRUNED)],
        parents={one.number: parents_in(words) for one in trials if (words := one.user_attrs.get(LINEAGE))},
        title=study.study_name,
    )


def parents_in(words: str) -> tuple[int, ...]:
    """The trials that a lineage in words names, as in «12, 14: lr0 +0.031»; none in «defaults»."""
    return tuple(int(word) for word in words.partition(":")[0].split(", ") if word.isdecimal())
