"""The plan of a study: what must stay the same for its trials to be comparable."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hypevo.problem.seeds import training_seed
from hypevo.problem.space import Space
from hypevo.protocol import Hyp


@dataclass(frozen=True)
class Start:
    """Where the search begins besides the default.

    Attributes:
        source: Whose recommendation it is, as «study coco128».
        hyp: A value for each gene that moves.
    """

    source: str
    hyp: Hyp

    @property
    def origin(self) -> str:
        """What the trial that measures it says of itself."""
        return f"earlier {self.source}"


@dataclass(frozen=True)
class Plan:
    """What makes a study one study.

    Attributes:
        trainer: Its full name, `module:function`.
        settings: The trainer's own options that change results, as plain values.
        space: The genes.
        hyp: The default individual, complete, in the space's order.
        fitness: The expression that is maximised, or `module:function`.
        trial_seed: Which seed each training has, as `hypevo.problem.seeds` spells it.
        seed: What everything random derives from.
        start: What an earlier study recommends, if the search begins there.
    """

    trainer: str
    settings: Mapping[str, Any]
    space: Space
    hyp: Hyp
    fitness: str
    trial_seed: str
    seed: int
    start: Start | None = None

    def to_json(self, indent: int | None = None) -> str:
        """The plan as stored in the study."""
        return json.dumps(
            {
                "trainer": self.trainer,
                "settings": dict(self.settings),
                "space": self.space.to_dict(),
                "hyp": dict(self.hyp),
                "fitness": self.fitness,
                "trial_seed": self.trial_seed,
                "seed": self.seed,
                **({} if self.start is None else {"start": asdict(self.start)}),
            },
            default=str,
            indent=indent,
        )

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of `to_json`."""
        content = json.loads(text)
        start = content.get("start")
        return cls(
            **(
                content
                | {
                    "space": Space.from_dict(content["space"]),
                    "start": None if start is None else Start(**start),
                }
            )
        )

    def training_seed(self, number: int) -> int:
        """The seed of a trial's training."""
        return training_seed(self.trial_seed, self.seed, number)

    def difference(self, other: Plan, *, apart_from: Collection[str] = ()) -> list[str]:
        """In sentences, how `other`, asked for now, differs, apart from some settings; empty when it does not.

        Who asks for no start goes on from the one that the study has.
        """
        sentences = [f"search space: {sentence}" for sentence in self.space.difference(other.space)]
        for name in ("trainer", "fitness", "trial_seed", "seed"):
            sentences += _change(name.replace("_", "-"), getattr(self, name), getattr(other, name))
        if other.start is not None:
            before = "the default alone" if self.start is None else self.start.source
            sentences += _change("the start", before, other.start.source)
        for title, mine, theirs in (("--", self.settings, other.settings), ("hyp ", self.hyp, other.hyp)):
            for key in [*mine, *(key for key in theirs if key not in mine)]:
                # An option that only one of two versions knows says nothing.
                if title != "--" or (key in mine and key in theirs and key not in apart_from):
                    sentences += _change(f"{title}{key}", mine.get(key), theirs.get(key))
        return sentences


def _change(name: str, before: Any, now: Any) -> list[str]:
    same = json.dumps(before, default=str) == json.dumps(now, default=str)  # no tuples, and NaN equals NaN
    same |= before == now and isinstance(before, bool) == isinstance(now, bool)  # 4.0 is the 4 of an int gene
    return [] if same else [f"{name} was {before} and is now {now}"]
