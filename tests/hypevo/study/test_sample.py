"""The first child is the one that a study then asks for."""

from __future__ import annotations

import pytest

from hypevo.problem.hyp import check_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.space import yolov5_space
from hypevo.study.sample import first_child
from hypevo.study.search import make_pruner, make_sampler, suggest
from hypevo.study.storage import begin_study, create_study, enqueue_default, open_storage


@pytest.mark.parametrize("sampler", ["adaptive", "classic", "tpe", "random"])
def test_the_first_child_is_the_one_that_a_study_asks_for_after_its_default(sampler, tmp_path):
    space = yolov5_space()
    plan = Plan("t:train", {}, space, check_hyp({}, space), "score", "fixed", 7)
    study = create_study(open_storage(str(tmp_path / "optuna.journal")), "study", make_pruner("none"))
    begin_study(study, plan)
    study.sampler = make_sampler(sampler, plan, 0)
    enqueue_default(study, plan)
    default = study.ask()
    suggest(default, space)
    study.tell(default, 0.123)
    child = suggest(study.ask(), space)

    shown = {one["gene"]: one["best"] for one in first_child(plan, sampler)}
    assert shown
    assert shown == {name: value for name, value in child.items() if value != plan.hyp[name]}
