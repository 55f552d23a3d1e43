"""Optuna's side of a study: open its storage, create it or check that it is the same one, read it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.trial import TrialState

from hypevo.problem.plan import Plan
from hypevo.protocol import InputError
from hypevo.study.attributes import DEFAULT, ORIGIN
from hypevo.study.identity import settle, spelled_otherwise
from hypevo.study.journal import JournalFile
from hypevo.study.patience import PatientStorage
from hypevo.study.tally import in_order

PLAN, PARENT_RUN, EXPERIMENT = "hypevo", "mlflow_parent_run_id", "mlflow_experiment_id"
METRICS = "metrics"  # the names that the trainer says it returns
OPTIONS = "hypevo_options"  # the trainer's that are no part of the plan

_RESCORE = (
    "\nOnly the fitness differs: `hypevo status --study {name} --fitness …` ranks its trials by another one, and "
    "`hypevo evolve` goes on from them, scored anew, as a new study: --study NEWNAME --rescore {name}"
)

_log = logging.getLogger(__name__)

optuna.logging.set_verbosity(optuna.logging.WARNING)


def journal(address: str) -> Path | None:
    """The journal file that an address means; None for a database."""
    return None if "://" in address else Path(address)


def open_storage(address: str, tell: Callable[[str], None] = _log.warning) -> BaseStorage:
    """A storage from an Optuna URL, or from a path: a journal file.

    Args:
        address: The URL or the path.
        tell: Told when a database server is away or back, and what is spoilt in a journal.

    Raises:
        InputError: it cannot be opened, is lost with this process, or the journal is damaged.
    """
    path = journal(address)
    if path is None:
        if _in_memory(address):
            raise InputError(
                f"--storage {address}: a database in memory is lost when the command ends; name a file, "
                f"as in sqlite:///study.db"
            )
        try:
            if address.startswith("sqlite"):
                return RDBStorage(address, engine_kwargs={"connect_args": {"timeout": 100}})
            return PatientStorage(address, tell, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:
            raise InputError(
                f"--storage {address}: cannot be opened: {_line(error)}{_driver_for(address)}"
            ) from error
    _refuse_special(address, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return JournalStorage(JournalFile(path, tell))
    except OSError as error:  # the file may well be whole
        raise InputError(f"--storage {address}: cannot be opened: {_line(error)}") from error
    except Exception as error:  # Optuna replays the journal: whatever is in it may fail in any way
        raise _unreadable(address, error) from error


def _driver_for(address: str) -> str:
    """What to say of an address that leaves it to SQLAlchemy which driver it opens; empty if it names one."""
    drivers = {"postgresql": ("psycopg", "hypevo[postgresql]"), "mysql": ("pymysql", "pymysql")}
    scheme = address.partition("://")[0]
    if scheme not in drivers:
        return ""
    driver, package = drivers[scheme]
    return f"; expected {scheme}+{driver}://… with pip install {package}, unless SQLAlchemy's usual driver is installed"


def _in_memory(address: str) -> bool:
    """Whether an address means an SQLite database that is no file."""
    scheme, _, database = address.partition("://")
    name = database.lstrip("/").partition("?")[0]
    return scheme.startswith("sqlite") and (name == "" or ":memory:" in database or "mode=memory" in database)


def check_plan(storage: BaseStorage, name: str, plan: Plan) -> None:
    """See, without writing anything, that a study is new or has this plan.

    Raises:
        InputError: the study exists with another plan, every difference is named; or it is not one of ours.
    """
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        return
    _compare(study, plan)


def create_study(storage: BaseStorage, name: str, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """Create the study, empty, or load it."""
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
    )


def begin_study(study: optuna.Study, plan: Plan) -> None:
    """Give a study its plan, which may still change while it has no trials. Call it as the study's only driver.

    Raises:
        InputError: as `check_plan`.
    """
    _compare(study, plan)
    begun = stored_plan(study)
    if begun is not None and Plan.from_json(begun).fitness != plan.fitness:
        study.set_user_attr(PARENT_RUN, None)  # MLflow's run says the old one for ever: it gets another run
    if begun != plan.to_json() and not study.get_trials(deepcopy=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(["fitness"])
        _store_plan(study, plan)


def settle_plan(study: optuna.Study, plan: Plan, fingerprint: str) -> list[str]:
    """See that a study's data and weights are still the same, wherever they lie now.

    Returns:
        What a user should know, in sentences.

    Raises:
        InputError: a path leads to another content than the study's.
    """
    sentences = settle(study, load_plan(study), plan, fingerprint)
    if stored_plan(study) != plan.to_json():
        _store_plan(study, plan)  # the paths of today, for what comes after
    return sentences


def remember_options(study: optuna.Study, options: Mapping[str, Any]) -> None:
    """Keep the trainer's options that change no result, as which Python it uses: they are no part of the plan."""
    if study.user_attrs.get(OPTIONS) != options:
        study.set_user_attr(OPTIONS, dict(options))


def trained_by(study: optuna.Study) -> dict[str, Any]:
    """All of the trainer's options that a study's trainings had last."""
    return {**(study.user_attrs.get(OPTIONS) or {}), **load_plan(study).settings}


def enqueue_default(study: optuna.Study, plan: Plan) -> None:
    """Have the default individual measured next, unless it has a result or is under way."""
    states = [
        trial.state for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(ORIGIN) == DEFAULT
    ]
    if all(state is TrialState.FAIL for state in states):
        defaults = {gene.name: gene.read(plan.hyp[gene.name]) for gene in plan.space.movable}
        study.enqueue_trial(defaults, user_attrs={ORIGIN: DEFAULT})


def _compare(study: optuna.Study, plan: Plan) -> None:
    if not study.get_trials(deepcopy=False):
        return  # nothing to be compared with yet
    name, stored = study.study_name, stored_plan(study)
    if stored is None:
        raise InputError(f"study «{name}» was not made by hypevo; choose another name with --study")
    begun = Plan.from_json(stored)
    if not any(
        trial.value is not None or trial.intermediate_values for trial in study.get_trials(deepcopy=False)
    ):
        begun = replace(begun, fitness=plan.fitness)  # it has scored nothing: a wrong one can be put right
    changes = begun.difference(plan, apart_from=spelled_otherwise(begun.settings, plan.settings))
    if changes:
        listed = "\n".join(f"  - {sentence}" for sentence in changes)
        raise InputError(
            f"study «{name}» exists with another plan, so that trials could not be compared:\n{listed}\n"
            f"Ask for the same as before to resume it, or choose another name with --study"
            f"{_RESCORE.format(name=name) if begun.fitness != plan.fitness and len(changes) == 1 else ''}"
        )


def load_study(address: str, name: str | None) -> optuna.Study:
    """A study that exists, for reading; without a name the only one there is.

    Raises:
        InputError: no such storage or study.
    """
    storage, names = studies(address)
    if name is None and len(names) == 1:
        name = names[0]
    if name is None or name not in names:
        wanted = "say which study" if name is None else f"no study «{name}»"
        raise InputError(
            f"{address}: {wanted}; there {'is' if len(names) == 1 else 'are'} {', '.join(names) or 'none'}"
        )
    return optuna.load_study(study_name=name, storage=storage)


def studies(address: str) -> tuple[optuna.storages.BaseStorage, list[str]]:
    """A storage that is there, and the names of its studies.

    Raises:
        InputError: it is not there.
    """
    path = journal(address)
    if path is not None and not path.exists():
        raise InputError(f"--storage {address}: no such file; has a study been run from this folder?")
    storage = open_storage(address)
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    return storage, [summary.study_name for summary in summaries]


def load_plan(study: optuna.Study) -> Plan:
    """The plan stored in a study.

    Raises:
        InputError: the study was not made by hypevo.
    """
    stored = stored_plan(study)
    if stored is None:
        raise InputError(f"study «{study.study_name}» was not made by hypevo")
    return Plan.from_json(stored)


def stored_plan(study: optuna.Study) -> str | None:
    """The plan in a study, as JSON; None in one that is not ours.

    It is where optuna-dashboard does not show it, a page of JSON; in studies of before, it stays where it was.
    """
    stored: str | None = study.user_attrs.get(PLAN)
    return stored or study._storage.get_study_system_attrs(study._study_id).get(PLAN)


def _store_plan(study: optuna.Study, plan: Plan) -> None:
    if PLAN in study.user_attrs:
        study.set_user_attr(PLAN, plan.to_json())
    else:
        study._storage.set_study_system_attr(study._study_id, PLAN, plan.to_json())


def ranked(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that have a fitness, the best first; of equally fit ones the earlier one."""
    return sorted(finished(study), key=lambda trial: (-(trial.value or 0.0), trial.number))


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that have a fitness, in the order in which they finished."""
    return in_order(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _refuse_special(address: str, path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"--storage {address}: expected a file; this is a folder, a pipe or a device")


def _unreadable(address: str, error: Exception) -> InputError:
    return InputError(
        f"--storage {address}: not a journal that Optuna can read: {_line(error)}. "
        f"Move the file away, or choose another with --storage"
    )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:300]
