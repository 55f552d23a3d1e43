"""Does the winner really win? The best trials and the default, trained again with fresh seeds.

A training belongs to its hyperparameters, its seed, its data and its settings, and is reused by every later call that
wants the same. What the results mean is in `hypevo.retraining.verdict`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import optuna

from hypevo.files import write_atomically
from hypevo.problem.fitness import Fitness
from hypevo.problem.options import typed
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import WorkError
from hypevo.retraining.candidates import Candidate, CandidateTrainings, is_open, scores_of, training_of
from hypevo.retraining.confirmation import Confirmation
from hypevo.retraining.foretold import foretell
from hypevo.retraining.ground import FRESH, ground_of
from hypevo.retraining.keeping import Keeping
from hypevo.retraining.looks import look_number, remember_look, seeds_looked_at
from hypevo.retraining.race import Race
from hypevo.retraining.shown import Shown
from hypevo.retraining.subject import Subject, subject_of
from hypevo.retraining.verdict import error_of_look, shares
from hypevo.retraining.weighing import scatter_of, weigh
from hypevo.retraining.winner import earlier_winner, write_winner
from hypevo.study.attributes import SEED_NOISE, VERDICT
from hypevo.study.exports import CONFIRMED
from hypevo.study.lease import lock
from hypevo.study.storage import load_study
from hypevo.trainings import backend_of, child
from hypevo.trainings.backend import Backend
from hypevo.trainings.untouched import Untouched, measure_untouched
from hypevo.trainings.work import Watcher

DEFAULT = "default"
UNTOUCHED_FILE = "untouched.json"


def confirm(settings: ConfirmSettings, watcher: Watcher) -> Confirmation:
    """Train what has not been trained yet, and judge. Interrupted, the same call goes on where it was.

    Raises:
        InputError: no such study, nothing finished in it, or its data are gone.
        WorkError: a user's fitness function failed.
    """
    study = load_study(settings.storage, settings.study)
    subject = subject_of(settings, study)
    with lock(subject.folder / "confirm", study.study_name):  # two would empty each other's folders
        return _confirm(settings, study, subject, watcher)


def _confirm(
    settings: ConfirmSettings, study: optuna.Study, subject: Subject, watcher: Watcher
) -> Confirmation:
    plan, candidates = subject.plan, subject.candidates
    backend = backend_of(settings, plan.trainer, watcher.message)
    try:
        ground = ground_of(settings, subject, backend, watcher)
        inspection, prepared, folder = ground.inspection, ground.prepared, ground.folder
        default = Candidate(DEFAULT, plan.hyp)
        first = plan.seed + FRESH
        names = {one.key: one.name for one in reversed(candidates) if one.key != default.key}
        keys = [candidate.key for candidate in candidates]
        there = max(seeds_looked_at(folder, keys), _seeds_there(folder, (*candidates, default), first))
        seeds = max(settings.seeds, there)
        if there > settings.seeds:  # fewer would be a verdict that leaves out what is known
            watcher.message(
                f"{there} seeds are there and {settings.seeds} are asked for: all {there} are used"
            )
        race = Race(names, default.key, range(first, first + seeds))
        trainings = {
            (candidate.key, seed): training_of(folder, candidate, seed, f"{seed - first + 1} of {seeds}")
            for seed in race.seeds  # pairs are complete early
            for candidate in (*reversed(candidates), default)  # of equal ones the default gives the name
        }
        shown = Shown(settings, study, inspection.settings, prepared, folder, watcher)
        untouched = Untouched({}, None, "the trainer has no starting weights that it could measure")
        if inspection.validates:
            untouched = _untouched(folder, backend, plan.trainer, prepared, ground.fitness)
        if untouched.fitness is not None:
            watcher.message(f"not training at all: fitness {untouched.fitness:.4f}, of the starting weights")
        look = look_number(folder, seeds, keys)
        error = error_of_look(look)
        keeping = Keeping(settings.keep_weights, trainings, backend.settle)
        if dropped := keeping.sweep():
            watcher.message(
                f"deleted: the weights of {dropped} earlier trainings; --keep-weights all keeps them"
            )
        source = CandidateTrainings(trainings, race, keeping, shown.tracker, watcher)
        if source.done < source.total:
            known = untouched.fitness is not None
            part, _ = shares(error / len(candidates), untouched_known=known)
            scatter = scatter_of(candidates, default, scores_of(trainings), subject.noise)
            watcher.message(foretell(seeds, scatter, part))
            if len(names) > 1:
                watcher.message(
                    f"a race of {len(names)} candidates: who cannot win any more is dropped and trained no further"
                )
        every = settings.keep_weights == "all"
        end = ground.train(
            f"{subject.study} confirmed", source, settings, backend, watcher, all_weights=every
        )
    finally:
        backend.close()
    complete = not (end.interrupted or end.unscored)
    scores = source.standings.counted(scores_of(trainings))
    known_scores = [value for value in scores.get(default.key, {}).values() if value is not None]
    value = math.nan if untouched.fitness is None else untouched.fitness
    confirmation = Confirmation(
        study=subject.study,
        again=tuple(typed(settings, ConfirmSettings, but=("study", "seeds"))),
        trainer=plan.trainer,
        fitness=plan.fitness,
        folder=folder,
        first_seed=first,
        seeds=seeds,
        settings=inspection.settings,
        selected_here=ground.selected_here,
        look=look,
        verdicts=weigh(
            candidates, default, scores, error=error, untouched=value, dropped=source.standings.dropped
        )
        if complete
        else (),
        interrupted=end.interrupted,
        default_fitness=fmean(known_scores) if known_scores else None,
        seed_noise=stdev(known_scores) if complete and len(known_scores) >= 3 else math.nan,
        untouched=untouched,
        scores={one.name: scores.get(one.key, {}) for one in (*candidates, default)},
    )
    if complete:
        path = subject.folder / CONFIRMED
        confirmation = replace(confirmation, stays=earlier_winner(path, confirmation, candidates))
        remember_look(folder, seeds, keys)
        study.set_user_attr(VERDICT, confirmation.to_dict())
        if not ground.options and not math.isnan(confirmation.seed_noise):  # of trainings as the study's own
            study.set_user_attr(SEED_NOISE, confirmation.seed_noise)
        write_winner(path, confirmation, candidates, trainings, watcher)
        shown.judged(confirmation)
    undelivered = shown.tracker.close(
        "FINISHED" if complete else "KILLED", "complete" if complete else "interrupted"
    )
    source.catch_up()
    if end.unscored:
        raise WorkError(
            f"{end.unscored}; nothing is lost: correct the fitness and run the same command again"
        )
    return replace(confirmation, undelivered=undelivered, page=shown.page)


def _seeds_there(folder: Path, candidates: Sequence[Candidate], first: int) -> int:
    """How many seeds, from the first on, all of them have been trained with."""
    seeds = itertools.count(first)
    trained = (
        not any(is_open(training_of(folder, one, seed).record) for one in candidates) for seed in seeds
    )
    return sum(1 for _ in itertools.takewhile(bool, trained))


def _untouched(
    folder: Path, backend: Backend, trainer: str, prepared: child.Prepared, fitness: Fitness
) -> Untouched:
    """The starting weights on the data of this folder, measured once."""
    path = folder / UNTOUCHED_FILE
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        return Untouched(metrics, fitness(metrics))
    except (OSError, ValueError):
        measured = measure_untouched(backend, trainer, prepared.settings, fitness)
    if measured.fitness is not None:
        write_atomically(path, json.dumps(dict(measured.metrics)))
    return measured
