"""On what ground a confirmation trains: the trainer's settings, checked and prepared, and the folder for its trainings.

Who trains on the same ground finds the trainings that are there, whatever they were made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypevo.messages import refuse
from hypevo.preflight import inspect
from hypevo.problem.fitness import Fitness, parse_fitness
from hypevo.problem.settings import ConfirmSettings
from hypevo.retraining.candidates import CandidateTrainings, digest
from hypevo.retraining.subject import Subject
from hypevo.retraining.unseen import SPLIT, options_of, telling
from hypevo.study.identity import identity_of
from hypevo.trainings import child
from hypevo.trainings.backend import Backend
from hypevo.trainings.slots import Slots
from hypevo.trainings.work import End, Watcher, Work

FRESH = 10_000  # added to the study's seed: the seeds of a confirmation are none of the search's


@dataclass(frozen=True)
class Ground:
    """What the trainings have in common.

    Attributes:
        trainer: Its full name.
        options: The trainer's options that the study's own trainings had not.
        inspection: What the trainer says of the settings.
        prepared: The settings as it trains with them.
        fitness: The study's.
        folder: Where the trainings are.
        selected_here: Whether they are validated on what the search chose on.
    """

    trainer: str
    options: Mapping[str, Any]
    inspection: child.Inspection
    prepared: child.Prepared
    fitness: Fitness
    folder: Path
    selected_here: bool

    def train(
        self,
        title: str,
        source: CandidateTrainings,
        settings: ConfirmSettings,
        backend: Backend,
        watcher: Watcher,
        *,
        all_weights: bool,
    ) -> End:
        """Run the trainings that are wanted, and return how the loop ended.

        Args:
            title: What the bar is called.
            source: The trainings.
            settings: Retries and the like.
            backend: Where they run.
            watcher: Told of everything.
            all_weights: Whether all weights are brought here, not those of the best alone.
        """
        watcher.opened(
            title,
            total=source.total,
            done=source.done,
            best=None,
            seconds=source.mean_seconds,
            slots=len(backend.slots()),
            epochs=self.prepared.settings.get("epochs"),
        )
        work = Work(
            self.trainer,
            self.prepared.settings,
            self.fitness,
            settings.retries,
            settings.trial_timeout,
            settings.stagger,
            declared=self.inspection.metrics,
            weights=self.inspection.weights,
            all_weights=all_weights,
        )
        return Slots(backend, source, work, watcher).run()


def ground_of(settings: ConfirmSettings, subject: Subject, backend: Backend, watcher: Watcher) -> Ground:
    """Check and prepare everything, and make the folder.

    Raises:
        InputError: Something is wrong with the settings or the data.
    """
    plan, cache = subject.plan, settings.cache.resolve()
    options = options_of(settings, plan, backend, cache, watcher.message)
    inspection = inspect(plan.trainer, {**plan.settings, **options}, plan.hyp, plan.space, cache, backend)
    watcher.found(inspection.findings)
    refuse([finding.message for finding in inspection.findings if finding.level == "error"])
    prepared = backend.prepare(plan.trainer, inspection.settings, cache)
    identity = identity_of(
        telling({k: v for k, v in inspection.settings.items() if k not in inspection.neutral}),
        prepared.fingerprint,
    )
    folder = subject.folder / f"confirm-{digest(identity)[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    fitness = parse_fitness(plan.fitness, inspection.metrics)
    selected_here = not options.keys() & {"data", SPLIT}
    if subject.dataset and prepared.fingerprint:
        selected_here = subject.dataset == prepared.fingerprint
    return Ground(plan.trainer, options, inspection, prepared, fitness, folder, selected_here)
