"""A new study goes on from the trials of another that differs in its fitness alone: scored anew, not repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from optuna.trial import TrialState, create_trial

from hypevo.protocol import InputError
from hypevo.study.attributes import (
    ATTEMPTS,
    DEFAULT,
    DEVICE_SECONDS,
    ENDED_AS,
    LINEAGE,
    LOSSES,
    NOISE,
    ORIGIN,
    RUN,
    UNTOUCHED,
)
from hypevo.study.identity import settle, spelled_otherwise
from hypevo.study.rescore import Ranked, rescored
from hypevo.study.storage import finished, load_plan, load_study

if TYPE_CHECKING:
    import optuna

    from hypevo.problem.plan import Plan
    from hypevo.problem.settings import EvolveSettings

ADOPTED = "rescored_from"  # of a trial: the study and the number that it had there
_THEIRS = (
    ATTEMPTS,
    LOSSES,
    DEVICE_SECONDS,
    RUN,
    LINEAGE,
)  # what it cost, its run in MLflow, the numbers of its parents


def adoptable(settings: EvolveSettings, plan: Plan) -> Ranked | None:
    """The study of --rescore under the fitness that is asked for now; None where none is asked for. Nothing is written.

    Raises:
        InputError: there is no such study, it differs in more than its fitness, or has not recorded what that reads.
    """
    name = settings.rescore
    if name is None:
        return None
    if name == settings.name:
        raise InputError(
            f"--rescore {name}: the new study would have the same name; give it another with --study"
        )
    old = load_study(settings.storage, name)
    begun = load_plan(old)
    if begun.fitness == plan.fitness:
        raise InputError(
            f"--rescore {name}: it has this fitness already, «{plan.fitness}»; go on with it by --study {name}"
        )
    changes = replace(begun, fitness=plan.fitness).difference(
        plan, apart_from=spelled_otherwise(begun.settings, plan.settings)
    )
    if changes:
        listed = "\n".join(f"  - {sentence}" for sentence in changes)
        raise InputError(
            f"--rescore {name}: expected a study that differs in its fitness alone, so that its trials count here; "
            f"got:\n{listed}\nTo begin where it ended under another plan, there is --from-study {name}"
        )
    return rescored(old, plan.fitness)


def adopt(
    study: optuna.Study, ranked: Ranked, plan: Plan, fingerprint: str, tell: Callable[[str], None]
) -> None:
    """Enter the finished trials of a study under another fitness into a new one; a second call finishes a first one.

    What was measured outside of its trials goes along.

    Args:
        study: The new one, at work.
        ranked: What `adoptable` found.
        plan: Of the new one.
        fingerprint: Of the data's content now.
        tell: Told what a user should know.

    Raises:
        InputError: the new study has trials of its own, or the data are not those of the old trials any more.
    """
    old, name = ranked.study, ranked.study.study_name
    begun = [one for one in study.get_trials(deepcopy=False) if one.state is not TrialState.WAITING]
    there = {one.user_attrs[ADOPTED] for one in begun if ADOPTED in one.user_attrs}
    if len(there) < len(begun):
        if there:
            return  # it went on from there
        raise InputError(
            f"study «{study.study_name}» has trials of its own; --rescore begins a new study, choose its name "
            "with --study"
        )
    if changed := settle(old, load_plan(old), plan, fingerprint):  # into the view, which is forgotten
        raise InputError(f"--rescore {name}: {'; '.join(changed)}")
    for key in (UNTOUCHED, NOISE):
        if old.user_attrs.get(key) is not None:
            study.set_user_attr(key, old.user_attrs[key])
    trials = finished(old)
    for place, trial in enumerate(trials):
        source = f"study «{name}» trial {trial.number}"
        if source in there:
            continue
        kept = {key: value for key, value in trial.user_attrs.items() if key not in _THEIRS}
        origin = DEFAULT if trial.user_attrs.get(ORIGIN) == DEFAULT else source
        study.add_trial(
            create_trial(
                value=trial.value,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={**kept, ORIGIN: origin, ADOPTED: source, ENDED_AS: place},
            )
        )
    for note in ranked.notes:
        tell(note)
    tell(
        f"{len(trials)} trials of study «{name}», scored anew, are the first {len(trials)} generations here; "
        "--generations counts them"
    )
