"""Open a study to work on it: as its only driver, under the plan it was begun with, in its own folder."""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
from optuna.study._frozen import FrozenStudy

from hypevo.files import write_atomically
from hypevo.messages import hidden
from hypevo.problem.plan import Plan
from hypevo.protocol import InputError
from hypevo.study.lease import lease, lock
from hypevo.study.storage import begin_study, check_plan, create_study, journal, open_storage

IDENTITY, FOLDER = "hypevo_id", "hypevo_folder"  # user attributes of a study
OWNER = "study.json"  # in a study's folder: whose it is
TRIALS = "trials"  # the folder of the trials' folders

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def driven_study(
    address: str,
    name: str,
    plan: Plan,
    pruner: optuna.pruners.BasePruner,
    *,
    tell: Callable[[str], None] = _log.warning,
    lost: Callable[[], None] = lambda: None,
) -> Iterator[tuple[optuna.Study, Callable[[], None]]]:
    """A study, made if it is not there, that nobody else works on meanwhile.

    Args:
        address: The storage, an Optuna URL or a journal file.
        name: The study.
        plan: What makes it this study.
        pruner: The pruner of the trials to come.
        tell: Told what a user should know.
        lost: Called from another thread if another driver took the study over (see `lease`).

    Yields:
        The study, and a function to call before anything is written: it raises when the study was taken over.

    Raises:
        InputError: another driver has it, it has another plan, or the storage cannot be opened.
    """
    path = journal(address)
    with contextlib.ExitStack() as held:
        if path is not None:
            held.enter_context(lock(path, name))
        storage = open_storage(address, tell)
        check_plan(storage, name, plan)
        study = create_study(storage, name, pruner)
        still_ours: Callable[[], None] = lambda: None  # noqa: E731 - nobody takes over a lock
        if path is None:
            still_ours = held.enter_context(lease(study, tell, lost))
        begin_study(study, plan)
        yield study, still_ours


def claim_folder(study: optuna.Study, folder: Path, address: str) -> None:
    """Make sure that a folder is this study's, before anything is written into it.

    Args:
        study: The study; from now on it knows the folder, and the folder knows it.
        folder: Where its exports and trials are.
        address: The study's storage, for the messages.

    Raises:
        InputError: The folder holds the trials of another study, or of a later state of this one; or this
            study's own folder is elsewhere.
    """
    begun = len(study.get_trials(deepcopy=False))
    identity = study.user_attrs.get(IDENTITY)
    owner = _owner(folder)
    if owner and owner.get("id") != identity:
        raise InputError(
            f"{folder} belongs to another study, «{owner.get('study')}» in --storage {owner.get('storage')}; "
            f"give that --storage to continue it, or another --out or --study for this one"
        )
    last = _last_trial(folder)
    if last >= begun:
        whose = "another study, and this one is new" if begun == 0 else (
            f"a later state of the study: trial {last} is there, and --storage {hidden(address)} knows {begun} trials"
        )  # fmt: skip
        raise InputError(
            f"{folder / TRIALS} holds the trials of {whose}; give the --storage they were made with, "
            f"move the folder away, or choose another name with --study"
        )
    known = Path(str(study.user_attrs.get(FOLDER, folder)))
    if not owner and known.resolve() != folder.resolve() and _owner(known).get("id") == identity:
        raise InputError(
            f"study «{study.study_name}» has its files in {known}; continue it with --out {known.parent}"
        )
    if identity is None:
        identity = uuid.uuid4().hex
        study.set_user_attr(IDENTITY, identity)
    if study.user_attrs.get(FOLDER) != str(folder.resolve()):
        study.set_user_attr(FOLDER, str(folder.resolve()))
    folder.mkdir(parents=True, exist_ok=True)
    content = {"id": identity, "study": study.study_name, "storage": hidden(address)}
    write_atomically(folder / OWNER, json.dumps(content, indent=1) + "\n")


def study_folder(study: optuna.Study | FrozenStudy, out: Path) -> Path:
    """The folder of a study that exists: where it was driven, as long as that is there, else its place under `out`.

    Raises:
        InputError: that place is another study's.
    """
    identity = study.user_attrs.get(IDENTITY)
    known = study.user_attrs.get(FOLDER)
    if known is not None and _owner(Path(known)).get("id") == identity:
        return Path(known)
    folder = out / study.study_name
    owner = _owner(folder)
    if owner and owner.get("id") != identity:
        raise InputError(f"{folder} belongs to another study, «{owner.get('study')}»; choose another --out")
    return folder


def _owner(folder: Path) -> dict[str, str]:
    """Whose a folder is; empty when it does not say."""
    try:
        content = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _last_trial(folder: Path) -> int:
    """The highest number of a trial's folder; -1 for none."""
    return max(
        (int(entry.name) for entry in (folder / TRIALS).glob("[0-9]*") if entry.name.isdecimal()), default=-1
    )
