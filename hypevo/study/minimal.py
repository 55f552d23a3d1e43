"""The winner reduced to the genes that matter, as a hyp file: the others are back at their defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from hypevo.files import write_atomically
from hypevo.problem.plan import Plan
from hypevo.protocol import InputError, Value
from hypevo.results.hyp_file import yaml_value
from hypevo.study.attributes import OWN
from hypevo.study.estimates import minimal, noise
from hypevo.study.rescore import Ranked, load_ranked
from hypevo.study.standing import standing
from hypevo.study.storage import finished, load_plan
from samplers import Minimal

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
            f"the model needs 12 or more finished trials that are not far below the others, and study "
            f"«{study.study_name}» has fewer of these among its {count}"
        )
    allowance = seen if stands.noise is None else stands.noise
    source = (
        "the scatter of the trials"
        if stands.noise is None
        else "the noise of the default over training seeds"
    )
    defaults = {gene.name: gene.read(plan.hyp[gene.name]) for gene in plan.space.movable}
    return Reduced(minimal(study, best.params, defaults, allowance), best, count, allowance, source)


@dataclass(frozen=True)
class Proposal:
    """What a study's model proposes as the minimal difference.

    Attributes:
        study: The study's name.
        plan: Its plan.
        best: Where the genes go back from.
        found: What the model proposes, or a part of it.
        said: Where it comes from, in lines.
        again: Genes that the model would have returned and that keep their value, the dearest first.
    """

    study: str
    plan: Plan
    best: FrozenTrial
    found: Minimal
    said: Sequence[str]
    again: tuple[str, ...] = ()

    @property
    def hyp(self) -> dict[str, Value]:
        """The individual."""
        return {
            name: self.plan.space[name].read(self.found.params.get(name, value))
            for name, value in self.plan.hyp.items()
        }

    def put_back(self) -> Proposal:
        """The same with the dearest of the returned genes at the value of the best again."""
        costs = list(self.found.returned.items())
        (name, cost), before = costs[-1], costs[-2][1] if len(costs) > 1 else 0.0
        found = replace(
            self.found,
            params={**self.found.params, name: self.best.params[name]},
            kept={**self.found.kept, name: cost - before},
            returned=dict(costs[:-1]),
        )
        return replace(self, found=found, again=(*self.again, name))

    def write(self, path: Path, shown: Sequence[str]) -> None:
        """Write it as a hyp file, with what trainings have shown of it."""
        count, kept = len(self.found.returned), len(self.found.kept)
        header = [
            f"hypevo: the minimal difference: trial {self.best.number} of the study «{self.study}» with "
            f"{count} of {count + kept} genes back at the default",
            *self.said,
            *shown,
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [*(f"# {line}" for line in header), "", *self._genes()]
        write_atomically(path, "\n".join(lines) + "\n")

    def _genes(self) -> list[str]:
        """All genes: those that differ first, the dearest on top, then the others in the space's order."""
        hyp, found = self.hyp, self.found

        def line(name: str, comment: str = "") -> str:
            return f"{name}: {yaml_value(hyp[name])}{comment}"

        dearest = sorted(found.kept.items(), key=lambda item: -item[1])
        differ = [
            line(
                name,
                f"  # default {yaml_value(self.plan.hyp[name])}; expected cost of returning it {cost:.5f}"
                + ("; put back after a loss" if name in self.again else ""),
            )
            for name, cost in dearest
        ]
        same = [
            line(name, f"  # back from {self.best.params[name]}" if name in found.returned else "")
            for name in hyp
            if name not in found.kept
        ]
        return [*differ, "", "# at their defaults", *same]


def propose(ranked: Ranked, tell: Callable[[str], None]) -> Proposal:
    """The best individual with all genes at the default whose return is expected to cost less than the noise.

    Args:
        ranked: The study.
        tell: Told what a user should know.

    Raises:
        InputError: too few trials have finished in it for a model.
    """
    for note in ranked.notes:
        tell(note)
    one = reduced(ranked.study)
    best, found = one.best, one.found
    if own := best.user_attrs.get(OWN):
        tell(f"trial {best.number} was trained with other values of {', '.join(own)} than the model knows")
    cost = f"an expected cost of {found.cost:.5f} ± {found.uncertainty:.5f} of its fitness {best.value:.5f}"
    said = [
        f"a model of {one.trials} trials proposed to return {len(found.returned)}: {cost}; at most "
        f"{one.allowance:.5f} was allowed, {one.source}"
    ]
    if ranked.other_fitness:
        said.append(f"ranked by another fitness than the study's: {ranked.other_fitness}")
    return Proposal(ranked.study.study_name, load_plan(ranked.study), best, found, said)


def export_minimal(
    storage: str, study: str | None, folder: Path | None, fitness: str | None, tell: Callable[[str], None]
) -> Path:
    """Write what the model proposes, untrained.

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
    path = ranked.place(folder) / MINIMAL
    propose(ranked, tell).write(
        path, ["not trained yet; `hypevo export --minimal --confirm` trains it against the best"]
    )
    return path
