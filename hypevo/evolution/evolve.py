"""Evolve a study: look at everything beforehand, open or resume the study, drive it to its end."""

from __future__ import annotations

import queue
from pathlib import Path

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError

from hypevo.evolution.driver import NOBODY, Driver, Events, Summary
from hypevo.evolution.ledger import TRIALS, Ledger
from hypevo.interrupts import terminated_gently
from hypevo.messages import refuse
from hypevo.preflight import preflight
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import InputError, WorkError
from hypevo.study.opening import driven_study
from hypevo.study.search import make_pruner, make_sampler
from hypevo.study.storage import enqueue_default, same_dataset
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings import child
from hypevo.trainings.local import LocalBackend
from hypevo.trainings.offspring import kill_offspring
from hypevo.trainings.watch import Watcher


@terminated_gently()
def evolve(settings: EvolveSettings, watcher: Watcher) -> Summary:
    """Evolve a study until it has as many generations as asked; the same call resumes it.

    Raises:
        InputError: before anything is trained.
        WorkError: the study's own records cannot be kept.
    """
    backend = LocalBackend(settings.trainer)
    events: Events = queue.SimpleQueue()
    try:
        look = preflight(settings, backend)
        watcher.found(look.findings)
        refuse(look.errors)
        store = Store.default()
        store.check()
        with driven_study(
            settings.storage, settings.name, look.plan, make_pruner(settings.pruner),
            said=watcher.said, lost=lambda: events.put((NOBODY, "another driver took the study over")),
        ) as study:  # fmt: skip
            trials = len(study.get_trials(deepcopy=False))
            _refuse_foreign(settings.folder, new=trials == 0)
            # Of a driver that was killed with its trials.
            kill_offspring(str(settings.folder.resolve() / TRIALS))
            study.sampler = make_sampler(settings.sampler, look.plan, trials)
            prepared: child.Prepared = backend.call(
                child.prepare, look.plan.trainer, dict(look.plan.settings), settings.cache.resolve()
            )
            if not same_dataset(study, prepared.fingerprint):
                watcher.said(
                    "the dataset is not what it was when this study began: its trials' results may not compare"
                )
            enqueue_default(study, look.plan)
            tracker = Tracker(
                study.study_name, store, weights=settings.keep_weights == "all", tell=watcher.said
            )
            ledger = Ledger(
                settings,
                look.plan,
                study,
                tracker,
                metrics=look.inspection.metrics,
                dataset=prepared.fingerprint,
            )
            return Driver(settings, look, prepared.settings, ledger, backend, watcher, events).run()
    except OSError as error:
        raise WorkError(
            f"cannot keep the study's records: {error}; "
            f"nothing is lost, and the same command continues when this is mended"
        ) from error
    except UpdateFinishedTrialError as error:
        raise WorkError("another driver took the study over and has finished this one's trial") from error
    except StorageInternalError as error:
        raise WorkError(
            f"--storage {settings.storage} does not answer: {str(error).splitlines()[0]}; "
            f"the same command continues when it does"
        ) from error
    finally:
        backend.close()


def _refuse_foreign(folder: Path, *, new: bool) -> None:
    """A new study must not write over the trials of another one, whose storage is elsewhere or was deleted.

    Raises:
        InputError: the folder of a new study holds trials.
    """
    if new and any((folder / TRIALS).glob("[0-9]*")):
        raise InputError(
            f"{folder / TRIALS} holds the trials of another study, and this one is new; "
            f"move the folder away, choose another name with --study, or give that study's --storage"
        )
