"""The journal that long studies fit into: Optuna's own storage suite, its file format, and what is shared."""

import json

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.testing.pytest_storages import StorageTestCase

from hypevo.journal import Journal


def opened(path):
    return Journal(path, JournalFileSymlinkLock(str(path)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "optuna.journal"


class TestConformance(StorageTestCase):
    @pytest.fixture
    def storage(self, path):
        return opened(path)


def some_trials(storage, count):
    study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True)
    for number in range(count):
        trial = study.ask()
        trial.suggest_float("lr0", 1e-5, 0.1, log=True)
        trial.suggest_int("anchors", 0, 10)
        trial.report(number / 7, 1)
        trial.set_user_attr("origin", "default")
        if number % 3:
            study.tell(trial, number / 3)
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    study.ask().suggest_categorical("left running", [1, "a", None])
    return study


def test_optuna_reads_what_it_wrote_and_the_reverse(path):
    study = some_trials(opened(path), 5)
    theirs = JournalStorage(JournalFileBackend(str(path)))
    assert optuna.load_study(study_name="s", storage=theirs).trials == study.trials
    some_trials(theirs, 4)
    assert len(study.trials) == 11  # the lines of another process are seen
    again = optuna.load_study(study_name="s", storage=opened(path))
    assert again.trials == study.trials == optuna.load_study(study_name="s", storage=theirs).trials


@pytest.mark.parametrize("reopen", [False, True])
def test_finished_trials_share_distributions_and_names(path, reopen):
    storage = opened(path)
    some_trials(storage, 8)
    study = optuna.load_study(study_name="s", storage=opened(path) if reopen else storage)
    *trials, running = study.get_trials(deepcopy=False)
    assert len({id(trial.distributions["lr0"]) for trial in trials}) == 1
    assert len({id(name) for trial in trials for name in trial.params}) == 2
    assert running.distributions.keys() == {"left running"}


def test_a_distribution_that_differs_stays_as_it_was_asked_for(path):
    for name, choice in (("a", 1), ("b", True), ("c", [1, 2]), ("d", 1)):
        study = optuna.create_study(storage=opened(path), study_name=name)
        for high in (1, 2, 1):
            trial = study.ask()
            trial.suggest_float("x", 0, high)
            trial.suggest_categorical("y", [choice])
            study.tell(trial, 0)
    for name, choice in (("a", 1), ("b", True), ("c", [1, 2]), ("d", 1)):
        trials = optuna.load_study(storage=opened(path), study_name=name).trials
        assert [trial.distributions["x"].high for trial in trials] == [1, 2, 1]
        assert repr([trial.distributions["y"].choices for trial in trials]) == repr([(choice,)] * 3)


def test_a_line_that_is_being_written_is_read_when_it_is_whole(path):
    study = some_trials(opened(path), 2)
    *_, last = path.read_text().splitlines()
    line = json.dumps(json.loads(last) | {"op_code": 8, "trial_id": 2, "user_attr": {"said": "so"}}) + "\n"
    with path.open("a") as file:
        file.write(line[:40])
        file.flush()
        assert "said" not in study.trials[2].user_attrs
        file.write(line[40:])
    assert study.trials[2].user_attrs == {"said": "so"}


def test_a_spoilt_line_is_an_error_and_not_skipped(path):
    some_trials(opened(path), 2)
    with path.open("a") as file:
        file.write("no json\n")
    with pytest.raises(ValueError, match="Expecting value"):
        opened(path)
