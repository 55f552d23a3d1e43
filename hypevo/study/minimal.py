"""The winner reduced to the genes that matter, as a hyp file: the others are back at their defaults."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

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
    plan, stands = load_plan(ranked.study), standing(ranked.study)
    count, best = len(finished(ranked.study)), stands.best
    seen = noise(ranked.study)
    if best is None or math.isnan(seen):
        raise InputError(
            f"--minimal: expected 12 or more finished trials that are not far below the others, which the model needs; "
            f"study «{ranked.study.study_name}» has {count} finished trials"
        )
    allowance = seen if stands.noise is None else stands.noise
    source = (
        "the scatter of the trials"
        if stands.noise is None
        else "the noise of the default over training seeds"
    )
    if own := best.user_attrs.get(OWN):
        tell(f"trial {best.number} was trained with other values of {', '.join(own)} than the model knows")
    defaults = {gene.name: gene.read(plan.hyp[gene.name]) for gene in plan.space.movable}
    found = minimal(ranked.study, best.params, defaults, allowance)
    header = [
        f"hypevo: the minimal difference: trial {best.number} of the study «{ranked.study.study_name}» with "
        f"{len(found.returned)} of {len(found.returned) + len(found.kept)} genes back at the default",
        f"expected to cost {found.cost:.5f} ± {found.uncertainty:.5f} of its fitness {best.value:.5f}, by a model of "
        f"{count} trials; at most {allowance:.5f} was allowed, {source}",
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
