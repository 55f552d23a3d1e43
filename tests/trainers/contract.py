"""What every trainer promises, as tests to inherit. For a trainer of your own, copy this file beside these lines:

    import pytest
    from contract import Case, TrainerContract
    from mine import train

    class TestMine(TrainerContract):
        @pytest.fixture(scope="class")
        @classmethod
        def case(cls):
            return Case(train, {"lr": 0.01, "act": "relu"}, ["accuracy"], epochs=2)

and run `pytest` in the folder, in an environment that has hypevo. A trainer with settings gets them through
`keywords={"settings": Settings(…)}`.
"""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from hypevo.problem.fitness import parse_fitness
from hypevo.problem.hyp import check_hyp
from hypevo.trainings.offer import fitness_of, metrics_of, space_of, weights_of
from hypevo.trainings.resolve import Resolved


@dataclass(frozen=True)
class Case:
    """A trainer with a hyp small enough to train in a second or two."""

    train: Callable[..., Mapping[str, float]]
    hyp: Mapping[str, Any]  # a value for every gene
    metrics: Sequence[str]  # names that the training must return
    epochs: int
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def run(self, out: Path, report: Callable[..., None], seed: int = 0) -> Mapping[str, float]:
        return self.train(self.hyp, out=out, seed=seed, device="cpu", report=report, **self.keywords)

    @property
    def trainer(self) -> Resolved:
        """As hypevo finds it by name."""
        module = sys.modules[self.train.__module__]
        return Resolved(f"{module.__name__}:{self.train.__name__}", module, self.train)

    @property
    def settings(self) -> Any:
        return self.keywords.get("settings")


class Stop(Exception):  # noqa: N818  # it is no error: a report ends a training with it
    """Raised by a report that ends a training."""


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TrainerContract:
    """Inherit, and give a class-scoped fixture `case`."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, case, tmp_path_factory):
        """One training: where it started, its out folder, its reports, what it returned."""
        place = tmp_path_factory.mktemp("contract")
        (place / "here").mkdir()
        reports = []
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place / "here")
            result = case.run(place / "out", lambda metrics, *, step: reports.append((step, dict(metrics))))
        return place, reports, result

    def test_returned_metrics_hold_what_was_declared(self, case, trained):
        _, _, result = trained
        assert set(case.metrics) <= set(result)
        assert all(isinstance(value, float) for value in result.values())

    def test_reports_come_once_an_epoch_with_rising_steps(self, case, trained):
        _, reports, _ = trained
        assert [step for step, _ in reports] == list(range(case.epochs))

    def test_last_report_holds_the_declared_metrics(self, case, trained):
        _, reports, _ = trained
        assert set(case.metrics) <= set(reports[-1][1])

    def test_writes_only_under_out(self, trained):
        place, _, _ = trained
        assert not tree(place / "here")
        assert {path.relative_to(place).parts[0] for path in tree(place)} <= {"out"}

    def test_same_seed_gives_the_same_metrics(self, case, trained, tmp_path):
        again = case.run(tmp_path / "out", lambda metrics, *, step: None)
        assert again == trained[2]

    def test_an_exception_from_report_passes_through(self, case, tmp_path):
        def stop(metrics, *, step):
            raise Stop

        with pytest.raises(Stop):
            case.run(tmp_path / "out", stop)

    def test_an_exception_from_report_leaves_no_process_behind(self, case, tmp_path):
        def stop(metrics, *, step):
            raise Stop

        before = set(psutil.Process().children(recursive=True))
        with pytest.raises(Stop):
            case.run(tmp_path / "out", stop)
        _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=10)
        assert alive == []

    def test_hyperparameters_stay_as_they_were(self, case, tmp_path):
        before = dict(case.hyp)
        case.run(tmp_path / "out", lambda metrics, *, step: None)
        assert dict(case.hyp) == before

    def test_genes_have_values_of_their_kind(self, case, tmp_path):
        space = space_of(case.trainer, case.settings, tmp_path)
        if space is None:
            pytest.skip("it brings no genes: a user gives them in a space file")
        hyp = check_hyp(case.hyp, space, searched=())
        assert {name: type(hyp[name]) for name in case.hyp} == {
            name: type(value) for name, value in case.hyp.items()
        }

    def test_what_it_declares_is_what_it_returns(self, case, trained, tmp_path):
        declared = metrics_of(case.trainer, case.settings, tmp_path)
        assert set(declared) <= set(trained[2])
        named = fitness_of(case.trainer, case.settings, tmp_path)
        if named:
            assert math.isfinite(parse_fitness(named, declared)(trained[2]))
        weights_of(case.trainer, case.settings, tmp_path)

    def test_check_finds_nothing_wrong_and_writes_nothing_here(self, case, tmp_path, monkeypatch):
        check = getattr(case.trainer.module, "check", None)
        if check is None:
            pytest.skip("it checks nothing")
        (tmp_path / "here").mkdir()
        (tmp_path / "cache").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        space = space_of(case.trainer, case.settings, tmp_path / "cache")
        entries = {} if space is None else space.to_dict()
        cache = [tmp_path / "cache"] if "cache" in inspect.signature(check).parameters else []
        found = check(case.settings, case.hyp, entries, *cache)
        assert {level for level, _ in found} <= {"warning", "note"}, found
        assert not tree(tmp_path / "here")

    def test_settings_come_back_from_a_study_as_they_were(self, case):
        if case.settings is None:
            pytest.skip("it has no settings")
        plain = json.loads(json.dumps(asdict(case.settings), default=str))
        again = type(case.settings)(**{k: v for k, v in plain.items() if _is_given(case.settings, k)})
        assert json.dumps(asdict(again), default=str) == json.dumps(asdict(case.settings), default=str)


def _is_given(settings: Any, name: str) -> bool:
    return type(settings).__dataclass_fields__[name].init
