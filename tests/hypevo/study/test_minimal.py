"""hyp_minimal.yaml: the winner with what does not matter back at its default."""

import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from hypevo.problem.hyp import check_hyp, load_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.space import yolov5_space
from hypevo.protocol import InputError
from hypevo.study.attributes import DEFAULT, NOISE, ORIGIN, metric_attributes
from hypevo.study.minimal import export_minimal
from hypevo.study.storage import PLAN

GENES = ("momentum", "translate", "scale", "hsv_s")  # of these momentum alone matters


def made(address: str, count: int) -> optuna.Study:
    """A study of random individuals, the default first."""
    space = yolov5_space().only(GENES)
    plan = Plan("landscape:train", {}, space, check_hyp({}, space), "precision", "fixed", 0)
    study = optuna.create_study(study_name="s", storage=address, direction="maximize")
    study.set_user_attr(PLAN, plan.to_json())
    rng = np.random.default_rng(2)
    for number in range(count):
        params = {
            gene.name: gene.low + (gene.high - gene.low) * float(rng.random()) for gene in space.movable
        }
        if number == 0:
            params = {name: plan.hyp[name] for name in params}
        value = 1 - params["momentum"] + 0.002 * float(rng.standard_normal())
        attributes = metric_attributes({"precision": value, "recall": 1 - value})
        study.add_trial(
            create_trial(
                value=value,
                params=params,
                distributions=space.distributions(),
                user_attrs=attributes | ({ORIGIN: DEFAULT} if number == 0 else {}),
            )
        )
    return study


def test_what_matters_stands_first_and_the_rest_is_at_its_default(tmp_path):
    address = f"sqlite:///{tmp_path}/s.db"
    study = made(address, 30)
    study.set_user_attr(
        NOISE, [{"metrics": {"precision": 0.063 + d}, "fitness": 0.063 + d} for d in (0.02, -0.02)]
    )
    path = export_minimal(address, "s", tmp_path / "out", None, pytest.fail)
    text, hyp = path.read_text(), load_hyp(path)
    default = check_hyp({}, yolov5_space())
    genes = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert genes[0].startswith(
        f"momentum: {study.best_trial.params['momentum']}  # default 0.937; expected cost of ret"
    )
    assert {name for name in hyp if hyp[name] != default[name]} == {"momentum"}
    assert set(hyp) == set(default)
    assert f"trial {study.best_trial.number} of the study «s» with 3 of 4 genes back at the default" in text
    assert "the noise of the default over training seeds" in text
    assert "not trained yet" in text


def test_another_fitness_has_another_winner_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made("sqlite:///s.db", 30)
    said = []
    path = export_minimal("sqlite:///s.db", "s", None, "recall", said.append)
    assert path.parent.name.startswith("fitness-recall-")
    assert "ranked by another fitness than the study's: recall" in path.read_text()
    assert "the scatter of the trials" in path.read_text()
    assert said


def test_few_trials_are_no_model(tmp_path):
    address = f"sqlite:///{tmp_path}/s.db"
    made(address, 8)
    with pytest.raises(InputError, match=r"needs 12 or more finished trials .* fewer of these among its 8"):
        export_minimal(address, "s", tmp_path, None, pytest.fail)
