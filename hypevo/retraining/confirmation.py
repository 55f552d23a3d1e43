"""What a confirmation says, to people and as plain values: its verdicts, what they hold for, what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hypevo.messages import hidden
from hypevo.paste import pasted
from hypevo.retraining.agreement import agreement
from hypevo.retraining.foretold import seeds_for
from hypevo.retraining.unseen import SPLIT
from hypevo.retraining.verdict import Verdict, error_of_look, shares
from hypevo.study.exports import CONFIRMED
from hypevo.study.onward import train_words
from hypevo.trainings.record import LOG
from hypevo.trainings.untouched import Untouched


@dataclass(frozen=True)
class Confirmation:
    """What came out of a confirmation.

    Attributes:
        study: Its name.
        again: What was typed besides its name and the seeds.
        trainer: Its trainer's full name.
        fitness: What it maximises.
        folder: Where its trainings and its verdict are.
        first_seed: The first of the fresh seeds; the others follow it.
        seeds: Fresh seeds per candidate.
        settings: The trainer's settings that the trainings ran with.
        selected_here: Whether the search chose on the very images that the trainings were validated on.
        look: Which different look in this folder it is, counted from 1.
        verdicts: One for each candidate; none after an interruption.
        interrupted: Whether the user stopped it.
        undelivered: Records that MLflow has not got: trainings, and the verdict.
        default_fitness: Mean of the default over the seeds; None when it failed on all.
        seed_noise: Standard deviation of the default's fitness over the seeds; nan for fewer than three.
        untouched: The weights before any training.
        page: Where MLflow shows it: the store's address, and the path of the page.
        scores: Fitness by candidate, the default among them, and by seed; None where the training failed.
        stays: Whose hyp file of an earlier confirmation stays, empty where it does not say; None for nobody's.
    """

    study: str
    again: tuple[str, ...]
    trainer: str
    fitness: str
    folder: Path
    first_seed: int
    seeds: int
    settings: Mapping[str, Any]
    selected_here: bool
    look: int
    verdicts: tuple[Verdict, ...]
    interrupted: bool
    undelivered: int = 0
    default_fitness: float | None = None
    seed_noise: float = math.nan
    untouched: Untouched | None = None
    page: tuple[str, str] = ("", "")
    scores: Mapping[str, Mapping[int, float | None]] = field(default_factory=dict)
    stays: str | None = None

    @property
    def winner(self) -> Verdict | None:
        """The winning candidate with the largest gain."""
        return max((one for one in self.verdicts if one.wins), key=lambda one: one.gain, default=None)

    @property
    def confirmed(self) -> Verdict | None:
        """The winner, if training with it is not worse than not training at all."""
        return None if self.winner is None or self.winner.over_untouched == -1 else self.winner

    @property
    def of_a_training(self) -> dict[str, Any]:
        """The trainer's settings without the confirmation's own split."""
        return {name: value for name, value in self.settings.items() if name != SPLIT}

    @property
    def leading(self) -> Verdict:
        """The verdict that stands for all of them: the winner's, else the largest gain of those with all seeds."""
        return self.winner or max(
            self.verdicts,
            key=lambda one: (one.dropped is None, -math.inf if math.isnan(one.gain) else one.gain),
        )

    @property
    def conditions(self) -> str:
        """What the trainings have in common: data, epochs, seeds."""
        return conditions(self.settings, self.first_seed, self.seeds)

    @property
    def sentences(self) -> list[str]:
        """What a user reads at the end: each verdict, what it holds for, and what to do next."""
        return [*map(str, self.verdicts), *self._holds_for(), *self._next()]

    def _holds_for(self) -> list[str]:
        looks = f"look {self.look} at these trainings"
        said = [f"measured with {self.conditions}; {looks}, all looks together err in at most 5 of 100 cases"]
        if any(one.dropped for one in self.verdicts):
            said.append(
                "dropped ones could not win any more, which is wrong of the best one in at most 5 of 100 cases; "
                "none of them is called better"
            )
        if (agreed := agreement(self.verdicts)) is not None:
            said.append(str(agreed))
        if self.selected_here:
            said.append("the search selected on the same validation data: expect less elsewhere")
        if self.untouched is not None and self.untouched.fitness is None:
            said.append(f"not training at all is not compared: {self.untouched.reason}")
        return said

    def _next(self) -> list[str]:
        if self.confirmed is not None:
            hyp = self.folder.parent / CONFIRMED
            return [f"next: {pasted(train_words(self.trainer, hyp, self.of_a_training, self.fitness))}"]
        if any(one.over_untouched == -1 for one in self.verdicts):
            instead = "use the weights as they are" if self.stays is None else self._instead()
            return [
                f"next: these trainings make the weights worse; {instead}, or search with a lower "
                "lr0, fewer warm-up epochs, another --optimizer or more epochs"
            ]
        against = [one for one in self.verdicts if not one.same]
        if against and not any(one.judged for one in against):
            return [
                f"next: see why trainings failed, in {self.folder / '*' / LOG}; delete the folders of those that did, "
                f"and the same command trains them again"
            ]
        best = max(
            (one for one in self.verdicts if one.gain > 0 and not one.same and one.dropped is None),
            key=lambda one: one.gain,
            default=None,
        )
        if best is None:
            return [f"next: no candidate gained; {self._instead()}"]
        part = error_of_look(self.look + 1) / len(self.verdicts)
        error, _ = shares(part, untouched_known=not math.isnan(best.untouched))
        needed = seeds_for(best.gain, best.scatter, error)
        if best.failures:
            return [f"next: {best.candidate} failed more often than the default; {self._instead()}"]
        if needed is None:
            return [f"next: to show a gain this small takes more than 1000 seeds; {self._instead()}"]
        needed = max(needed, self.seeds + 1)
        words = ["hypevo", "confirm", "--study", self.study, *map(hidden, self.again), "--seeds", str(needed)]
        return [
            f"next: {pasted(words)}: that many seeds would show a gain of {best.gain:.4f} in "
            f"4 of 5 cases, if it is real; the trainings that are there count"
        ]

    def _instead(self) -> str:
        """What to train with where no candidate won."""
        if self.stays is None:
            return "train with the default"
        whose = f"{self.stays}, confirmed earlier" if self.stays else "confirmed earlier"
        return f"train with {self.folder.parent / CONFIRMED} ({whose})"

    def to_dict(self) -> dict[str, Any]:
        """The confirmation for JSON."""
        untouched, agreed = self.untouched, agreement(self.verdicts)
        return {
            "study": self.study,
            "folder": str(self.folder),
            "data": self.settings.get("data"),
            "split": self.settings.get("split"),
            "epochs": self.settings.get("epochs"),
            "selected_here": self.selected_here,
            "settings": self.of_a_training,
            "seeds": self.seeds,
            "first_seed": self.first_seed,
            "look": self.look,
            "default": self.default_fitness,
            "seed_noise": None if math.isnan(self.seed_noise) else self.seed_noise,
            "untouched": None if untouched is None else untouched.fitness,
            "untouched_reason": "" if untouched is None else untouched.reason,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "agreement": None if agreed is None else asdict(agreed),
            "scores": {
                name: {str(seed): one for seed, one in by.items()} for name, by in self.scores.items()
            },
            "sentences": self.sentences,
        }


def conditions(settings: Mapping[str, Any], first: int, seeds: int) -> str:
    """What trainings have in common: data, epochs, seeds."""
    known = {name: settings.get(name) for name in ("data", "split", "epochs")}
    parts = [f"{name} {value}" for name, value in known.items() if value is not None]
    return ", ".join([*parts, f"seeds {first} to {first + seeds - 1}"])
