"""The minimal difference decided by trainings: genes stay at their default as long as fresh seeds show no loss.

The whole proposal of the study's model is trained against the best trial, with the same fresh seeds. Where the paired
interval lies below zero, or it fails where the best does not, the gene goes back to the best's value whose return the
model thinks the dearest, and the rest is trained again, until no loss is shown. Each step is another look: it may err
as much as the same look of a confirmation, 5 % in all. No loss shown is not no loss: the file says how large a one
cannot be excluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypevo.interrupts import Interrupted
from hypevo.problem.settings import ConfirmSettings
from hypevo.protocol import WorkError
from hypevo.retraining.candidates import Candidate, CandidateTrainings, scores_of, training_of
from hypevo.retraining.confirmation import conditions
from hypevo.retraining.ground import FRESH, ground_of
from hypevo.retraining.keeping import Keeping
from hypevo.retraining.race import Scores, Standings
from hypevo.retraining.shown import Shown
from hypevo.retraining.subject import subject_of
from hypevo.retraining.verdict import Dropped, Verdict, error_of_look, judge
from hypevo.study.lease import lock
from hypevo.study.minimal import MINIMAL, propose
from hypevo.study.rescore import Ranked
from hypevo.study.storage import load_study
from hypevo.trainings import backend_of
from hypevo.trainings.work import Watcher


@dataclass(frozen=True)
class Steps:
    """The individuals that are trained one after the other, until one shows no loss.

    Attributes:
        names: By key, the first one first.
        default: The key of what they are compared with: the best trial.
        best: Its name.
        seeds: All of them.
    """

    names: Mapping[str, str]
    default: str
    best: str
    seeds: Sequence[int]

    def standings(self, scores: Scores) -> Standings:
        """Which one is trained, or shows no loss, and what those before it have shown; none is left when all lost.

        Raises:
            WorkError: There is nothing to compare with.
        """
        dropped: dict[str, Dropped] = {}
        for step, key in enumerate(self.names, 1):
            if any(seed not in scores.get(one, {}) for one in (key, self.default) for seed in self.seeds):
                return Standings((key,), dropped, 0)
            verdict = self.verdict(step, scores)
            if not verdict.judged:
                raise WorkError(
                    f"{self.best} failed with fresh seeds, so that there is nothing to compare with"
                )
            if verdict.failures:
                dropped[key] = Dropped(len(self.seeds), self.best)
            elif verdict.loses:
                least = -verdict.gain - verdict.half_width
                dropped[key] = Dropped(len(self.seeds), self.best, -verdict.gain, least)
            else:
                return Standings((key,), dropped, len(self.seeds))
        return Standings((), dropped, len(self.seeds))

    def verdict(self, step: int, scores: Scores) -> Verdict:
        """The verdict on the one of a step, counted from 1, against the best."""
        key = list(self.names)[step - 1]
        return judge(self.names[key], scores[key], scores[self.default], error=error_of_look(step))

    def said(self, scores: Scores) -> list[str]:
        """What the trainings have shown, in lines."""
        standings = self.standings(scores)
        lost = [f"{self.names[key]}: {out}" for key, out in standings.dropped.items()]
        if not standings.racing:
            return [*lost, f"so every gene is where it was: this is {self.best} itself"]
        found = self.verdict(len(lost) + 1, scores)
        over = f"over {found.pairs} seeds: {found.gain:+.4f} ± {found.half_width:.4f}"
        if found.wins:
            return [*lost, f"better than {self.best} {over}"]
        hidden = found.half_width - found.gain
        return [*lost, f"no loss against {self.best} is shown {over}; one of {hidden:.4f} cannot be excluded"]


def confirm_minimal(
    settings: ConfirmSettings, folder: Path | None, watcher: Watcher
) -> tuple[Path, list[str]]:
    """Train the proposal, put back what has to be, and write the file; interrupted, the same call goes on.

    Args:
        settings: Which study, how many seeds, where to train.
        folder: Where to write; the study's folder unless given.
        watcher: Told of everything.

    Returns:
        The file, and what the trainings have shown.

    Raises:
        InputError: No such study, too few trials, or its data are gone.
        Interrupted: The user stopped it.
        WorkError: A fitness cannot be computed, or a training was lost for good.
    """
    study = load_study(settings.storage, settings.study)
    ranked = Ranked(study)
    proposals = [propose(ranked, watcher.message)]
    while proposals[-1].found.returned:
        proposals.append(proposals[-1].put_back())
    subject = subject_of(settings, study)
    path = ranked.place(folder) / MINIMAL
    best = Candidate(f"trial {proposals[0].best.number}", proposals[-1].hyp)
    others = [Candidate(f"{best.name} minimal{_but(one.again)}", one.hyp) for one in proposals[:-1]]
    first = subject.plan.seed + FRESH
    steps = Steps(
        {one.key: one.name for one in others}, best.key, best.name, range(first, first + settings.seeds)
    )
    with lock(subject.folder / "confirm", study.study_name):
        backend = backend_of(settings, subject.plan.trainer, watcher.message)
        try:
            ground = ground_of(settings, subject, backend, watcher)
            trainings = {
                (one.key, seed): training_of(
                    ground.folder, one, seed, f"{seed - first + 1} of {settings.seeds}"
                )
                for one in (*others, best)
                for seed in steps.seeds
            }
            keeping = Keeping(settings.keep_weights, trainings, backend.settle)
            shown = Shown(
                settings, study, ground.inspection.settings, ground.prepared, ground.folder, watcher
            )
            source = CandidateTrainings(trainings, steps, keeping, shown.tracker, watcher)
            title = f"{study.study_name} minimal"
            end = ground.train(title, source, settings, backend, watcher, all_weights=False)
        finally:
            backend.close()
        decided = source.standings.complete == settings.seeds and not end.unscored
        shown.tracker.close("FINISHED" if decided else "KILLED", "complete" if decided else "interrupted")
        source.catch_up()
    if end.interrupted:
        raise Interrupted
    if not decided:
        raise WorkError(f"{end.unscored or 'a training was lost too often'}; the same command goes on")
    said = [*steps.said(scores_of(trainings)), conditions(ground.inspection.settings, first, settings.seeds)]
    if ground.selected_here:
        said.append("the search selected on the same validation data")
    proposals[len(source.standings.dropped)].write(path, said)
    return path, said


def _but(genes: Sequence[str]) -> str:
    """Which genes were put back, in few words."""
    if len(genes) < 2:
        return "".join(f" but {name}" for name in genes)
    return f" but {len(genes)} genes, {genes[-1]} last"
