"""Evolve a study: check everything beforehand, open or resume the study, drive it to its end."""

from __future__ import annotations

from dataclasses import replace

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError

from hypevo.evolution.baseline import FOLDER as NOISE
from hypevo.evolution.baseline import Baseline
from hypevo.evolution.driver import Driver, Summary
from hypevo.evolution.ledger import Ledger
from hypevo.evolution.untouched import remember_untouched
from hypevo.messages import refuse
from hypevo.preflight import preflight
from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import Finding, WorkError
from hypevo.study.account import remember_goal
from hypevo.study.adopt import adopt, adoptable
from hypevo.study.attributes import ENVIRONMENT, metrics_of
from hypevo.study.earlier import begin_from_earlier, enqueue_start
from hypevo.study.estimates import one_thread
from hypevo.study.lease import TAKEN_OVER
from hypevo.study.opening import TRIALS, claim_folder, driven_study
from hypevo.study.patience import reason
from hypevo.study.search import make_pruner, make_sampler
from hypevo.study.storage import enqueue_default, load_plan, remember_options, settle_plan
from hypevo.tracking.provenance import provenance
from hypevo.tracking.store import Store
from hypevo.tracking.tracker import Tracker
from hypevo.trainings import backend_of
from hypevo.trainings.work import Watcher, Work

HINT = "--baseline-seeds 3 trains the default with three more seeds, and then says whether a gain is beyond the noise"


def evolve(settings: EvolveSettings, watcher: Watcher) -> Summary:
    """Evolve a study until it has as many generations as asked; the same call resumes it.

    Raises:
        InputError: before anything is trained.
        WorkError: the study's own records cannot be kept.
    """
    backend = backend_of(settings, settings.trainer, watcher.message)
    driver: Driver | None = None

    def lost() -> None:
        if driver is not None:
            driver.slots.fail(WorkError(TAKEN_OVER))

    try:
        watcher.busy("checking options, data and weights")
        checked = preflight(settings, backend)
        watcher.found(checked.findings)
        refuse(checked.errors)
        watcher.busy("opening MLflow and the study")
        parent = adoptable(settings, checked.plan)
        plan = begin_from_earlier(settings, checked.plan, watcher.message)
        store = Store.default()
        store.check()
        with driven_study(
            settings.storage,
            settings.name,
            plan,
            make_pruner(settings.pruner),
            tell=watcher.message,
            lost=lost,
        ) as (study, still_ours):
            plan = replace(plan, start=load_plan(study).start)  # whoever asks for none goes on from it
            claim_folder(study, settings.folder, settings.storage)
            for folder in (TRIALS, NOISE):  # of a driver that was killed with its trainings
                backend.sweep(str(settings.folder.resolve() / folder))
            study.sampler = make_sampler(settings.sampler, plan, len(study.get_trials(deepcopy=False)))
            watcher.busy("caching images and weights")
            prepared = backend.prepare(plan.trainer, checked.inspection.settings, settings.cache.resolve())
            for sentence in settle_plan(study, plan, prepared.fingerprint):
                watcher.message(sentence)
            if parent is not None:
                adopt(study, parent, plan, prepared.fingerprint, watcher.message)
            remember_options(
                study, {name: checked.inspection.settings[name] for name in checked.inspection.neutral}
            )
            remember_goal(
                study,
                generations=settings.total,
                gpu_hours=settings.gpu_hours,
                slots=len(backend.slots()),
            )
            devices = ", ".join(sorted({slot.place for slot in backend.slots()}))
            environment = provenance(prepared.fingerprint, prepared.versions) | {"hypevo.devices": devices}
            study.set_user_attr(ENVIRONMENT, environment)
            watcher.busy("measuring the weights it starts from" if checked.inspection.validates else "")
            remember_untouched(
                study, plan, checked.inspection, prepared, checked.fitness, backend, watcher.message
            )
            if not study.get_trials(deepcopy=False) and settings.noise_seeds == 0:
                watcher.found([Finding("note", HINT)])
            enqueue_default(study, plan)
            enqueue_start(study, plan)
            tracker = Tracker(
                study.study_name,
                store,
                weights=settings.keep_weights == "all",
                system_metrics=settings.system_metrics,
                tell=watcher.message,
                still_ours=still_ours,
            )
            ledger = Ledger(
                settings,
                plan,
                study,
                tracker,
                metrics=checked.inspection.metrics,
                prepared=prepared,
                still_ours=still_ours,
                settle=backend.settle,
            )
            work = Work(
                plan.trainer,
                prepared.settings,
                checked.fitness,
                retries=settings.retries,
                timeout=settings.trial_timeout,
                stagger=settings.stagger,
                declared=checked.inspection.metrics,
                weights=checked.inspection.weights,
                known=() if ledger.tally.best is None else tuple(metrics_of(ledger.tally.best)),
                all_weights=settings.keep_weights == "all",
            )
            baseline = Baseline(
                study,
                plan,
                settings.folder,
                settings.noise_seeds,
                tracker,
                share=1 / settings.slots_per_device,
                keep_weights=settings.keep_weights == "all",
                still_ours=still_ours,
                settle=backend.settle,
            )
            driver = Driver(settings, plan, ledger, baseline, backend, work, watcher)
            watcher.busy("")
            with one_thread():
                return driver.run()
    except OSError as error:
        raise WorkError(
            f"cannot keep the study's records: {error}; "
            f"nothing is lost, and the same command continues once this is put right"
        ) from error
    except UpdateFinishedTrialError as error:
        raise WorkError(TAKEN_OVER) from error
    except StorageInternalError as error:
        raise WorkError(
            f"--storage {settings.storage} does not answer: {reason(error)}; "
            f"the same command continues when it does"
        ) from error
    finally:
        backend.close()
