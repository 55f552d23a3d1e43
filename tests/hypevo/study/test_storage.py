"""Optuna's side of a study: plans, journals cut off by a crash, databases."""

import dataclasses
import math
import os

import optuna
import pytest

from hypevo.problem.hyp import check_hyp
from hypevo.problem.plan import Plan
from hypevo.problem.space import yolov5_space
from hypevo.protocol import InputError
from hypevo.study.opening import driven_study
from hypevo.study.storage import (
    check_plan,
    enqueue_default,
    finished,
    load_plan,
    load_study,
    open_storage,
)

NO_PRUNER = optuna.pruners.NopPruner()


@pytest.fixture
def plan():
    space = yolov5_space()
    settings = {"epochs": 3, "sizes": (1, 2), "limit": math.inf, "odd": math.nan}
    return Plan("m:train", settings, space, check_hyp({}, space), "mAP_0.5", "fixed", 0)


@pytest.fixture
def journal(tmp_path):
    return str(tmp_path / "mlruns" / "optuna.journal")


@pytest.fixture(params=["journal", "database"])
def address(request, tmp_path, journal):
    return journal if request.param == "journal" else f"sqlite:///{tmp_path / 'optuna.db'}"


def begin(address, plan, trials=1):
    with driven_study(address, "s", plan, NO_PRUNER) as (study, _):
        enqueue_default(study, plan)
        for _ in range(trials):
            trial = study.ask()
            trial.suggest_float("lr0", 1e-5, 0.1)
            study.tell(trial, 0.5)


def test_a_plan_survives_its_storage(plan, address):
    begin(address, plan)
    stored = load_plan(load_study(address, "s"))
    assert stored.difference(plan) == []
    assert plan.difference(stored) == []
    assert stored.space.difference(plan.space) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fitness": "recall"}, "fitness was mAP_0.5 and is now recall"),
        ({"seed": 1}, "seed was 0 and is now 1"),
        ({"trial_seed": "per-trial"}, "trial-seed was fixed and is now per-trial"),
        ({"trainer": "n:train"}, "trainer was m:train and is now n:train"),
        ({"settings": {"epochs": 4}}, "--epochs was 3 and is now 4"),
    ],
)
def test_a_study_with_trials_keeps_its_plan(plan, address, change, words):
    begin(address, plan)
    other = dataclasses.replace(plan, **change)
    with pytest.raises(InputError) as refusal, driven_study(address, "s", other, NO_PRUNER):
        pass
    assert words in str(refusal.value)
    begin(address, plan)  # the old one still opens


def test_a_study_without_trials_takes_another_plan(plan, address):
    with driven_study(address, "s", plan, NO_PRUNER):
        pass
    other = dataclasses.replace(plan, seed=9)
    with driven_study(address, "s", other, NO_PRUNER) as (study, _):
        assert load_plan(study).seed == 9


def test_looking_at_a_plan_makes_no_study(plan, address):
    storage = open_storage(address)
    check_plan(storage, "s", plan)
    assert storage.get_all_studies() == []


def test_a_foreign_study_is_refused(plan, address):
    study = optuna.create_study(storage=open_storage(address), study_name="s")
    study.tell(study.ask(), 0.5)
    with (
        pytest.raises(InputError, match="was not made by hypevo"),
        driven_study(address, "s", plan, NO_PRUNER),
    ):
        pass
    with pytest.raises(InputError, match="was not made by hypevo"):
        load_plan(study)


def test_the_default_is_enqueued_once(plan, address):
    for _ in range(2):
        with driven_study(address, "s", plan, NO_PRUNER) as (study, _):
            enqueue_default(study, plan)
    assert len(study.get_trials()) == 1


def test_a_journal_cut_off_anywhere_opens_with_all_whole_lines(plan, journal, tmp_path):
    begin(journal, plan, trials=2)
    whole = (tmp_path / "mlruns/optuna.journal").read_bytes()
    copy = tmp_path / "copy.journal"
    for cut in range(len(whole) - 200, len(whole)):
        copy.write_bytes(whole[:cut])
        load_study(str(copy), "s").set_user_attr("more", cut)
        kept = whole[:cut].rpartition(b"\n")[0] + b"\n"
        assert copy.read_bytes().startswith(kept)
        assert copy.read_bytes().count(b"\n") == kept.count(b"\n") + 1


def test_a_journal_cut_off_in_its_first_line_opens(tmp_path):
    path = tmp_path / "journal"
    for content in (b"", b"{", b'{"op_code": 0, "work', bytes(100)):
        path.write_bytes(content)
        optuna.create_study(storage=open_storage(str(path)), study_name="s")
        assert load_study(str(path), None).study_name == "s"


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_lock_that_a_killed_process_left_on_a_relative_journal_is_taken_over(plan, tmp_path, monkeypatch):
    """Of version 0.1, whose locks were links."""
    monkeypatch.chdir(tmp_path)
    begin("mlruns/optuna.journal", plan)
    (tmp_path / "mlruns/optuna.journal.lock").symlink_to(tmp_path / "mlruns/optuna.journal")
    begin("mlruns/optuna.journal", plan)
    assert len(finished(load_study("mlruns/optuna.journal", "s"))) == 2


@pytest.mark.parametrize(
    "content", [b"no json\n", b'{"op_code": 99}\n' * 2, b"\x80\x04K.\n\n", b"[" * 100_000 + b"\n"]
)
def test_a_file_that_is_no_journal_is_an_input_error(tmp_path, content):
    path = tmp_path / "journal"
    path.write_bytes(content * 2)
    with pytest.raises(InputError, match="not a journal that Optuna can read"):
        open_storage(str(path))
    assert path.read_bytes() == content * 2


def test_a_folder_in_the_place_of_a_journal_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="expected a file; this is a folder"):
        open_storage(str(tmp_path))


@pytest.mark.parametrize(
    "content", [b"no journal and no newline", b"{" * 11_000_000, b"a line\n" + bytes([7])]
)
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a journal that Optuna can read"):
        open_storage(str(path))
    assert path.read_bytes() == content


def test_a_pipe_is_no_journal(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="expected a file"):
        open_storage(str(tmp_path / "pipe"))


def test_a_study_that_is_not_there_is_an_input_error(plan, address):
    begin(address, plan)
    with pytest.raises(InputError, match="no study «t»; there is s"):
        load_study(address, "t")
    assert load_study(address, None).study_name == "s"
    with pytest.raises(InputError, match="no such file"):
        load_study("nowhere.journal", "s")


def test_options_that_change_no_result_are_remembered_beside_the_plan(evolution):
    from hypevo.study.storage import load_study, remember_options, trained_by

    evolution(1)
    study = load_study("mlruns/optuna.journal", "s")
    before = trained_by(study)
    remember_options(study, {"python": "/usr/bin/python3"})
    assert trained_by(load_study("mlruns/optuna.journal", "s")) == {**before, "python": "/usr/bin/python3"}
