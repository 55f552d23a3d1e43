"""What every trainer promises, as tests to inherit.

from trainer_contract import Case, TrainerContract

class TestMyTrainer(TrainerContract):
    @pytest.fixture(scope="class")
    def case(self, tmp_path_factory):
        return Case(train, hyp, METRICS, epochs=2, keywords={"settings": …})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Case:
    """A trainer with a hyp small enough to train in a second or two."""

    train: Callable[..., Mapping[str, float]]
    hyp: Mapping[str, float]
    metrics: Sequence[str]  # names that the training must return
    epochs: int
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def run(self, out: Path, report: Callable[..., None], seed: int = 0) -> Mapping[str, float]:
        return self.train(self.hyp, out=out, seed=seed, device="cpu", report=report, **self.keywords)


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
