"""Whether the metrics that a fitness reads do come: one that never does ends the work, with words."""

from __future__ import annotations

from collections.abc import Collection

from hypevo.messages import did_you_mean
from hypevo.problem.fitness import Fitness
from hypevo.protocol import Metrics


class Awaited:
    """The metrics that the fitness reads and no training has shown yet."""

    def __init__(self, fitness: Fitness, declared: Collection[str], known: Collection[str]) -> None:
        """Await what `fitness` reads.

        Args:
            fitness: A function of a user's does not say what it reads, and judges for itself.
            declared: Names that the trainer says it returns; reports may lack them, a result may not.
            known: Names that came in earlier trainings; a training without them has failed alone.
        """
        self._fitness = fitness
        self._declared = frozenset(declared)
        self._known = set(known)

    def lacking(self, metrics: Metrics, *, final: bool) -> str:
        """Say what the fitness reads and never got; empty when nothing is wrong.

        Args:
            metrics: Those of a report, or of a result.
            final: Whether it is a result.
        """
        self._known |= set(metrics)
        awaited = self._known if final else self._known | self._declared
        names = self._fitness.absent(dict.fromkeys(awaited, 0.0))
        if not names or not (metrics or final):
            return ""
        which, got = ", ".join(names), ", ".join(metrics) or "nothing"
        hint = did_you_mean(names[0], metrics)
        if final:
            return f"the fitness «{self._fitness.text}» reads {which}; the trainer returned {got}{hint}"
        return (
            f"the fitness «{self._fitness.text}» reads {which}; the first report has {got}{hint or '.'} If it comes "
            f"later, the trainer's module has to say so: METRICS = ({', '.join(map(repr, names))},)"
        )
