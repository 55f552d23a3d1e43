"""The journal that stays readable: Optuna's own storage suite, its file format, crashes, full disks, lost files."""

import json
import shutil

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.testing.pytest_storages import StorageTestCase

from hypevo.study import journal
from hypevo.study.journal import JournalFile, JournalLostError


def opened(path):
    return JournalStorage(JournalFile(path))


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


HALF = '{"op_code": 5, "worker_id": "x", "trial'


def test_half_a_line_is_dropped_before_the_next_one_is_written(path, caplog):
    study = some_trials(opened(path), 2)
    with path.open("a") as file:
        file.write(HALF)
    study.set_user_attr("a", 1)
    assert "dropped half a line of 39 bytes" in caplog.text
    assert optuna.load_study(study_name="s", storage=opened(path)).user_attrs == {"a": 1}
    theirs = JournalStorage(JournalFileBackend(str(path)))  # Optuna's own reader, as in optuna-dashboard
    assert optuna.load_study(study_name="s", storage=theirs).trials == study.trials


@pytest.mark.parametrize("zeros", [1, 5000])
def test_zeros_of_a_power_cut_are_dropped(path, zeros):
    study = some_trials(opened(path), 2)
    with path.open("ab") as file:
        file.write(bytes(zeros))
    study.set_user_attr("a", 1)
    assert b"\0" not in path.read_bytes()
    assert optuna.load_study(study_name="s", storage=opened(path)).user_attrs == {"a": 1}


@pytest.mark.parametrize(
    "spoilt", ["no json\n", "{}\n", "[1]\n", "\n", '{"op_code": "x"}\n', "\udcff\n", HALF + "\n"]
)
def test_a_spoilt_line_is_skipped_and_said(path, spoilt, caplog):
    study = some_trials(opened(path), 2)
    with path.open("a", errors="surrogateescape") as file:
        file.write(spoilt)
    study.set_user_attr("a", 1)
    again = optuna.load_study(study_name="s", storage=opened(path))
    assert again.trials == study.trials
    assert again.user_attrs == {"a": 1}
    assert "skipped it" in caplog.text


def test_a_whole_line_glued_to_half_a_line_is_kept(path, caplog):
    study = some_trials(opened(path), 2)
    study.set_user_attr("a", 1)
    *before, last = path.read_text().splitlines()
    path.write_text("\n".join([*before, HALF + last]) + "\n")
    assert optuna.load_study(study_name="s", storage=opened(path)).user_attrs == {"a": 1}
    assert "kept the whole line" in caplog.text


def test_a_full_disk_leaves_no_half_line(path, monkeypatch):
    study = some_trials(opened(path), 2)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(journal.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            study.set_user_attr("a", 1)
    assert path.read_bytes() == before
    study.set_user_attr("a", 2)
    assert optuna.load_study(study_name="s", storage=opened(path)).user_attrs == {"a": 2}


def test_a_deleted_journal_stops_the_study_instead_of_beginning_anew(path):
    study = some_trials(opened(path), 2)
    path.unlink()
    with pytest.raises(JournalLostError, match="deleted"):
        study.ask()
    with pytest.raises(JournalLostError, match="deleted"):
        study.trials  # noqa: B018 - it reads the file
    assert not path.exists()


@pytest.mark.parametrize("in_place", [True, False])
def test_an_older_copy_in_its_place_stops_the_study(path, in_place):
    storage = opened(path)
    some_trials(storage, 1)
    old = path.with_name("old")
    shutil.copy(path, old)
    study = some_trials(storage, 2)
    if in_place:
        path.write_bytes(old.read_bytes())
    else:
        old.replace(path)
    with pytest.raises(JournalLostError, match="replaced"):
        study.ask()


def test_a_file_that_is_no_journal_is_refused_and_stays_as_it_is(path):
    path.write_bytes(b"a diary\nof somebody")
    with pytest.raises(ValueError, match="no line in it"):
        opened(path)
    assert path.read_bytes() == b"a diary\nof somebody"
