"""Optuna's side of a study: open its storage, create it or check that it is the same one, read it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalFileSymlinkLock
from optuna.trial import TrialState

from hypevo.journal import Journal
from hypevo.protocol import InputError
from hypevo.space import Space

DEFAULT = "mlruns/optuna.journal"
PLAN, PARENT_RUN, EXPERIMENT = "hypevo", "mlflow_parent_run_id", "mlflow_experiment_id"
METRICS = "metrics"  # the names that the trainer says it returns
DATASET = "dataset_fingerprint"
LONGEST_LINE = 10_000_000  # bytes of a journal's line

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Plan:
    """What makes a study one study: trials under another plan could not be compared with its own."""

    trainer: str
    settings: Mapping[str, Any]  # the trainer's own options
    space: Space
    hyp: Mapping[str, float]  # the default individual, complete, in the space's order
    fitness: str
    trial_seed: str  # «fixed» or «per-trial»
    seed: int

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
            },
            default=str,
            indent=indent,
        )

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of `to_json`."""
        content = json.loads(text)
        return cls(**(content | {"space": Space.from_dict(content["space"])}))

    def difference(self, other: Plan) -> list[str]:
        """In sentences, how `other`, asked for now, differs."""
        said = [f"search space: {sentence}" for sentence in self.space.difference(other.space)]
        for name in ("trainer", "fitness", "trial_seed", "seed"):
            said += _change(name.replace("_", "-"), getattr(self, name), getattr(other, name))
        for title, mine, theirs in (("--", self.settings, other.settings), ("hyp ", self.hyp, other.hyp)):
            for key in [*mine, *(key for key in theirs if key not in mine)]:
                said += _change(f"{title}{key}", mine.get(key), theirs.get(key))
        return said


def journal(address: str) -> Path | None:
    """The journal file that an address means; None for a database."""
    return None if "://" in address else Path(address)


def open_storage(address: str) -> BaseStorage:
    """A storage from an Optuna URL, or from a path: a journal file.

    Raises:
        InputError: it cannot be opened, or the journal is damaged.
    """
    path = journal(address)
    if path is None:
        engine = (
            {"connect_args": {"timeout": 100}} if address.startswith("sqlite") else {"pool_pre_ping": True}
        )
        try:
            return RDBStorage(address, engine_kwargs=engine)
        except Exception as error:
            raise InputError(f"--storage {address}: cannot be opened: {_line(error)}") from error
    _refuse_special(address, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return Journal(path, _journal_lock(path))
    except Exception as error:  # Optuna replays the journal: whatever is in it may fail in any way
        raise _unreadable(address, error) from error


def mend(address: str) -> int:
    """Drop a last line of a journal that a crash cut off, so that it can be read. Returns the bytes dropped.

    Call it before `open_storage`, as the study's only driver.

    Raises:
        InputError: it cannot be read.
    """
    path = journal(address)
    if path is None or not path.exists():
        return 0
    _refuse_special(address, path)
    lock = _journal_lock(path)
    try:
        lock.acquire()  # another study's driver may be writing to the same journal
        try:
            with path.open("rb+") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LONGEST_LINE))
                tail = file.read()
                cut = tail[tail.rfind(b"\n") + 1 :]
                if cut and (len(cut) == LONGEST_LINE or cut[:1] not in b"{\0"):  # zeros: of a power cut
                    raise ValueError("its last line is none that Optuna writes")
                file.truncate(size - len(cut))
        finally:
            lock.release()
    except (OSError, ValueError) as error:
        raise _unreadable(address, error) from error
    return len(cut)


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
    if study.user_attrs.get(PLAN) != plan.to_json() and not study.get_trials(deepcopy=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(["fitness"])
        study.set_user_attr(PLAN, plan.to_json())


def same_dataset(study: optuna.Study, fingerprint: str) -> bool:
    """Whether a study began with this dataset; a study that knows none yet takes this one for its own."""
    began = study.user_attrs.get(DATASET)
    if fingerprint and not began:
        study.set_user_attr(DATASET, fingerprint)
    return not (began and fingerprint) or began == fingerprint


def enqueue_default(study: optuna.Study, plan: Plan) -> None:
    """Make the default individual the first trial of a study that has none."""
    if not study.get_trials(deepcopy=False):
        defaults = {gene.name: _typed(gene.type, plan.hyp[gene.name]) for gene in plan.space.movable}
        study.enqueue_trial(defaults, user_attrs={"origin": "default"})


def _compare(study: optuna.Study, plan: Plan) -> None:
    if not study.get_trials(deepcopy=False):
        return  # nothing to be compared with yet
    name, stored = study.study_name, study.user_attrs.get(PLAN)
    if stored is None:
        raise InputError(f"study «{name}» was not made by hypevo; choose another name with --study")
    said = Plan.from_json(stored).difference(plan)
    if said:
        listed = "\n".join(f"  - {sentence}" for sentence in said)
        raise InputError(
            f"study «{name}» exists with another plan, so that trials could not be compared:\n{listed}\n"
            f"Ask for the same as before to resume it, or choose another name with --study"
        )


def load_study(address: str, name: str | None) -> optuna.Study:
    """A study that exists, for reading; without a name the only one there is.

    Raises:
        InputError: no such storage or study.
    """
    path = journal(address)
    if path is not None and not path.exists():
        raise InputError(f"--storage {address}: no such file; has a study been run from this folder?")
    storage = open_storage(address)
    names = [
        summary.study_name for summary in optuna.get_all_study_summaries(storage, include_best_trial=False)
    ]
    if name is None and len(names) == 1:
        name = names[0]
    if name is None or name not in names:
        wanted = "say which with --study" if name is None else f"no study «{name}»"
        raise InputError(
            f"{address}: {wanted}; there {'is' if len(names) == 1 else 'are'} {', '.join(names) or 'none'}"
        )
    return optuna.load_study(study_name=name, storage=storage)


def load_plan(study: optuna.Study) -> Plan:
    """The plan stored in a study.

    Raises:
        InputError: the study was not made by hypevo.
    """
    if PLAN not in study.user_attrs:
        raise InputError(f"study «{study.study_name}» was not made by hypevo")
    return Plan.from_json(study.user_attrs[PLAN])


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that have a fitness, in the order in which they finished."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(trials, key=lambda trial: (trial.datetime_complete, trial.number))


def _journal_lock(path: Path) -> JournalFileSymlinkLock:
    """Held for milliseconds at a time, so one that is 10 s old belongs to a process that was killed.

    The path is absolute: Optuna would look for the target of a relative link in the wrong folder, and wait for ever.
    """
    return JournalFileSymlinkLock(str(path.resolve()), grace_period=10)


def _refuse_special(address: str, path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"--storage {address}: expected a file; this is a folder, a pipe or a device")


def _unreadable(address: str, error: Exception) -> InputError:
    return InputError(
        f"--storage {address}: not a journal that Optuna can read: {_line(error)}. "
        f"Move the file away, or choose another with --storage"
    )


def _change(name: str, before: Any, now: Any) -> list[str]:
    same = json.dumps(before, default=str) == json.dumps(
        now, default=str
    )  # as stored: no tuples, and NaN is NaN
    return [] if same else [f"{name} was {before} and is now {now}"]


def _typed(kind: str, value: float) -> float:
    return int(value) if kind == "int" else value


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:300]
