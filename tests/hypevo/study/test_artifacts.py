"""Pictures and notes in optuna-dashboard, read by Optuna's own functions and by the dashboard's."""

from __future__ import annotations

import json
import shutil

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound

from hypevo.study import artifacts
from hypevo.study.artifacts import FOLDER, Artifacts, pictures_in, show_pictures
from hypevo.study.opening import FOLDER as PLACE
from hypevo.study.opening import IDENTITY, OWNER
from hypevo.study.storage import PLAN, load_plan, load_study


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A function that makes a study of a name with a folder."""
    monkeypatch.chdir(tmp_path)
    storage = optuna.storages.InMemoryStorage()

    def begin(name):
        study = optuna.create_study(study_name=name, storage=storage)
        folder = tmp_path / "runs" / "evolve" / name
        folder.mkdir(parents=True)
        (folder / OWNER).write_text(json.dumps({"id": f"id of {name}"}))
        study.set_user_attr(IDENTITY, f"id of {name}")
        study.set_user_attr(PLACE, str(folder))
        return study, folder

    return begin


def shown(store, whose, storage):
    """The content of each picture by its name."""
    found = {}
    for meta in get_all_artifact_meta(whose, storage=storage):
        assert meta.filename not in found, "shown twice"
        with store.open_reader(meta.artifact_id) as file:
            found[meta.filename] = meta.mimetype, file.read()
    return found


@pytest.mark.parametrize("links", [True, False])
def test_a_picture_is_shown_once_with_its_newest_content_whatever_becomes_of_the_file(
    begun, tmp_path, monkeypatch, links
):
    if not links:
        monkeypatch.delattr(artifacts.os, "link")
        monkeypatch.setattr(artifacts.os, "link", lambda *_: (_ for _ in ()).throw(OSError), raising=False)
    study, folder = begun("one")
    trial = study.ask()
    for content in (b"older", b"newer", b"newer"):
        for name in ("evolve.png", "train.jpg"):
            (tmp_path / name).unlink(missing_ok=True)
            (tmp_path / name).write_bytes(content)
        show_pictures(study, folder, [tmp_path / "evolve.png"])
        show_pictures(study, folder, [tmp_path / "train.jpg"], trial)
    (tmp_path / "evolve.png").unlink()
    store = FileSystemArtifactStore(folder / FOLDER)
    assert shown(store, study, study._storage) == {"evolve.png": ("image/png", b"newer")}
    assert shown(store, trial, study._storage) == {"train.jpg": ("image/jpeg", b"newer")}
    assert len(list((folder / FOLDER).iterdir())) == 2


def test_one_that_cannot_be_read_is_left_out_and_that_is_said(begun, tmp_path, caplog):
    study, folder = begun("one")
    show_pictures(study, folder, [tmp_path / "gone.png"])
    assert get_all_artifact_meta(study) == []
    assert "gone.png is not shown in optuna-dashboard" in caplog.text


def test_a_trial_s_pictures_are_few_small_and_its_own(tmp_path):
    for number in range(artifacts.MOST):
        (tmp_path / f"a{number:02d}.png").write_bytes(b"p")
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / "PR_curve.png").write_bytes(b"p")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "batch.png").write_bytes(b"p")
    (tmp_path / "batch_large.png").write_bytes(b"p" * (artifacts.LARGEST + 1))
    (tmp_path / "batch.txt").write_bytes(b"p")
    (tmp_path / "val_link.png").symlink_to(tmp_path / "a00.png")
    assert [path.name for path in pictures_in(tmp_path)] == [
        "PR_curve.png",
        *(f"a{number:02d}.png" for number in range(artifacts.MOST - 1)),
    ]


def test_the_pictures_of_several_studies_are_read_from_their_folders_also_after_a_move(begun, tmp_path):
    pages = {}
    for name in ("one", "two"):
        study, folder = begun(name)
        (folder / "evolve.png").write_text(name)
        show_pictures(study, folder, [folder / "evolve.png"])
        pages[name] = study
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    store = Artifacts(pages["one"]._storage, tmp_path / "elsewhere" / "evolve")
    for name, study in pages.items():
        assert shown(store, study, study._storage) == {"evolve.png": ("image/png", name.encode())}
    (meta,) = get_all_artifact_meta(pages["one"])
    store.remove(meta.artifact_id)
    store.remove(meta.artifact_id)  # a study whose folder is gone can be deleted
    with pytest.raises(ArtifactNotFound):
        store.open_reader(meta.artifact_id)
    with (tmp_path / "elsewhere" / "evolve" / "two" / "evolve.png").open("rb") as file:
        store.write("0a-0b", file)
    assert store.open_reader("0a-0b").read() == b"two"


def test_an_evolution_shows_its_pictures_and_a_note_of_each_trial(evolution):
    from optuna_dashboard import get_note, save_note

    evolution(2, options={"fail": "memory", "fail_above": 0.01}, max_failures=99)
    study = load_study("mlruns/optuna.journal", "s")
    trials = [optuna.Trial(study, one._trial_id) for one in study.get_trials(deepcopy=False)]
    first, failed = trials[0], next(one for one in trials if one.user_attrs.get("failure"))
    note = get_note(first)
    assert note.startswith(f"Fitness {study.trials[0].value:.5f}.\n\nThe default: what the others")
    assert f"/runs/{evolution.children[0].info.run_id}?workflowType=machine_learning)" in note
    assert get_note(failed).startswith("**Out of memory**\n\n    MemoryError: no memory left")
    assert "From trial 0. Mutated most: " in get_note(failed)
    assert f"/runs/{evolution.parent.info.run_id}?workflowType" in get_note(study)
    save_note(first, "mine")
    evolution(3, options={"fail": "memory", "fail_above": 0.01}, max_failures=99)
    study = load_study("mlruns/optuna.journal", "s")
    assert get_note(optuna.Trial(study, first._trial_id)) == "mine"
    assert sorted(shown(Artifacts(study._storage), study, study._storage)) == [
        "evolve.png", "history.png", "importance.png", "lineage.png",
    ]  # fmt: skip


def test_the_plan_is_no_page_of_json_in_the_dashboard_and_stays_where_an_older_study_has_it(evolution):
    evolution(1)
    study = load_study("mlruns/optuna.journal", "s")
    assert PLAN not in study.user_attrs
    plan = load_plan(study)
    study.set_user_attr(PLAN, plan.to_json())
    evolution(2)
    study = load_study("mlruns/optuna.journal", "s")
    assert load_plan(study) == plan
    assert len(study.trials) == 2
