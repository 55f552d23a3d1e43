"""The winner reduced to the genes that matter, as a hyp file: the others are back at their defaults."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from hypevo.files import write_atomically
from hypevo.problem.plan import Plan
from hypevo.protocol import InputError
from hypevo.results.hyp_file import yaml_value
from hypevo.study.attributes import OWN
from hypevo.study.rescore import load_ranked
from hypevo.study.standing import standing
from hypevo.study.storage import finished, load_plan
from samplers import Minimal, minimal, noise

MINIMAL = "hyp_minimal.yaml"


@dataclass(frozen=True)
class Reduced:
    """The minimal difference of a study, as its model expects it.

    Attributes:
        found: What is kept and what goes back.
        best: The trial that is reduced.
        trials: How many the model knows.
        allowance: What all that goes back may cost.
        source: What the allowance is.
    """

    found: Minimal
    best: FrozenTrial
    trials: int
    allowance: float
    source: str


def reduced(study: optuna.Study) -> Reduced:
    """Reduce the best individual of a study to the genes that matter.

    Raises:
        InputError: too few trials have finished for a model.
    """
    plan, stands = load_plan(study), standing(study)
    count, best = len(finished(study)), stands.best
    seen = noise(study)
    if best is None or math.isnan(seen):
        raise InputError(
            f"expected 12 or more finished trials that are not far below the others, which the model needs; "
            f"study «{study.study_name}» has {count} finished trials"
        )
    allowance = seen if stands.noise is None else stands.noise
    source = (
        "the scatter of the trials"
        if stands.noise is None
        else "the noise of the default over training seeds"
    )
    defaults = {gene.name: gene.read(plan.hyp[gene.name]) for gene in plan.space.movable}
    return Reduced(minimal(study, best.params, defaults, allowance), best, count, allowance, source)


def export_minimal(
    storage: str, study: str | None, folder: Path | None, fitness: str | None, tell: Callable[[str], None]
) -> Path:
    """Write the best individual with all genes at the default whose return is expected to cost less than the noise.

    Args:
        storage: Where the study is.
        study: Its name; the only one when left out.
        folder: Where to write; the study's folder unless given.
        fitness: What to rank by; the study's own unless given.
        tell: Told what a user should know.

    Raises:
        InputError: no such study, or too few trials have finished in it for a model.
    """
    ranked = load_ranked(storage, study, fitness)
    for note in ranked.notes:
        tell(note)
    try:
        less = reduced(ranked.study)
    except InputError as error:
        raise InputError(f"--minimal: {error}") from error
    plan, found, best = load_plan(ranked.study), less.found, less.best
    if own := best.user_attrs.get(OWN):
        tell(f"trial {best.number} was trained with other values of {', '.join(own)} than the model knows")
    header = [
        f"hypevo: the minimal difference: trial {best.number} of the study «{ranked.study.study_name}» with "
        f"{len(found.returned)} of {len(found.returned) + len(found.kept)} genes back at the default",
        f"expected to cost {found.cost:.5f} ± {found.uncertainty:.5f} of its fitness {best.value:.5f}, by a model of "
        f"{less.trials} trials; at most {less.allowance:.5f} was allowed, {less.source}",
        *(
            [f"ranked by another fitness than the study's: {ranked.other_fitness}"]
            if ranked.other_fitness
            else []
        ),
        "not trained yet; `hypevo train --hyp` with this file and the study's options measures it with one seed",
    ]
    lines = [*(f"# {line}" for line in header), "", *_genes(found, plan, best.params)]
    path = ranked.place(folder) / MINIMAL
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _genes(found: Minimal, plan: Plan, start: dict[str, object]) -> list[str]:
    """All genes: those that differ first, the dearest on top, then the others in the space's order."""
    hyp = {name: plan.space[name].read(found.params.get(name, value)) for name, value in plan.hyp.items()}

    def line(name: str, comment: str = "") -> str:
        return f"{name}: {yaml_value(hyp[name])}{comment}"

    differ = [
        line(name, f"  # default {yaml_value(plan.hyp[name])}; expected cost of returning it {cost:.5f}")
        for name, cost in found.kept.items()
    ]
    same = [
        line(name, f"  # back from {start[name]}" if name in found.returned else "")
        for name in hyp
        if name not in found.kept
    ]
    return [*differ, "", "# at their defaults", *same]
