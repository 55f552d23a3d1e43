"""A study from its first trial to its last, with real trial processes, Optuna's journal and MLflow's database."""

import json
import math
import os
import re
from pathlib import Path

import pytest
from optuna.trial import TrialState
from threadpoolctl import threadpool_info, threadpool_limits

from hypevo.protocol import Failure, InputError, WorkError

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
DEFAULT_LR = 0.01


def individuals(trials):
    return [(trial.number, trial.params, trial.value) for trial in trials]


def test_the_default_comes_first_and_once(evolution):
    evolution(3)
    first, *others = evolution.trials
    assert first.params["lr0"] == DEFAULT_LR
    assert first.user_attrs["origin"] == "default"
    assert all(trial.params != first.params for trial in others)
    assert [trial.number for trial in evolution.trials] == [0, 1, 2]


def test_a_larger_total_goes_on_and_repeats_nothing(evolution, arena, tmp_path_factory, monkeypatch):
    evolution(2)
    before = individuals(evolution.trials)
    runs_before = {number: run.info.run_id for number, run in evolution.children.items()}
    summary = evolution(5)
    assert [number for number, _ in evolution.watcher.starts] == [2, 3, 4]
    assert individuals(evolution.trials)[:2] == before
    assert summary.done == len(evolution.csv) == 5
    children = evolution.children
    assert sorted(children) == [0, 1, 2, 3, 4]
    assert {number: children[number].info.run_id for number in (0, 1)} == runs_before

    evolution(5)
    assert evolution.watcher.starts == []  # complete: nothing to do


def test_one_seed_is_one_study_to_the_last_digit_in_one_go_or_in_two(evolution, arena, monkeypatch):
    for folder, totals in (("whole", (6,)), ("in two", (2, 6)), ("other", (6,))):
        (arena / folder).mkdir()
        (arena / folder / "landscape.py").write_bytes((arena / "landscape.py").read_bytes())
        (arena / folder / "mlflow.db").write_bytes((arena / "mlflow.db").read_bytes())
        monkeypatch.chdir(arena / folder)
        for total in totals:
            evolution(total, seed=3 if folder == "other" else 2)
        (arena / folder / "found.json").write_text(json.dumps(individuals(evolution.trials)))
    whole, in_two, other = [
        (arena / name / "found.json").read_text() for name in ("whole", "in two", "other")
    ]
    assert whole == in_two
    assert whole != other


@pytest.mark.parametrize(
    ("how", "failure", "words"),
    [
        ("raise", Failure.CRASHED, "RuntimeError: broken on purpose (landscape.py:"),
        ("diverge", Failure.DIVERGED, "loss is nan"),
        ("nan", Failure.DIVERGED, "mAP_0.5 is missing or not finite"),
        ("memory", Failure.OUT_OF_MEMORY, "no memory left"),
        ("disk", Failure.DISK_FULL, "No space left"),
        ("exit", Failure.CRASHED, "exit code 3"),
        ("text", Failure.CRASHED, "mAP_0.5 = 'much', expected a number"),
        ("kill", Failure.KILLED, "SIGKILL"),
        ("hang", Failure.TIMED_OUT, "stopped after 2 s"),
    ],
)
def test_a_failure_is_told_apart_and_ends_nothing(evolution, how, failure, words):
    summary = evolution(
        4, options={"fail": how, "fail_above": DEFAULT_LR}, retries=0, max_failures=99, trial_timeout=2.0
    )  # fmt: skip
    failed = [trial for trial in evolution.trials if trial.state is FAIL]
    assert summary.done == len(evolution.csv) == 4
    assert failed
    for trial in failed:
        assert trial.value is None
        assert trial.user_attrs["failure"] == failure
        assert words in trial.user_attrs["reason"]
        run = evolution.children[trial.number]
        assert run.info.status == "FAILED"
        assert run.data.tags["hypevo.state"] == failure
        assert words in run.data.tags["hypevo.reason"]
    assert {trial.params["lr0"] > DEFAULT_LR for trial in failed} == {True}
    lr = [float(line.split(",")[7]) for line in evolution.csv]
    assert max(lr) <= DEFAULT_LR  # a failed trial is neither in the csv


def test_failures_in_a_row_stop_the_study_with_the_reason(evolution):
    summary = evolution(9, options={"fail": "raise", "fail_above": 0.0}, max_failures=3)
    assert summary.failed
    assert "3 trials failed in a row" in summary.stopped
    assert "broken on purpose" in summary.stopped
    assert len(evolution.trials) == 3
    assert evolution.parent.info.status == "FAILED"
    assert evolution.csv == []


def test_a_trial_killed_once_runs_again_under_its_number(evolution, arena):
    evolution(3, options={"fail": "kill once", "fail_above": DEFAULT_LR})
    ends = evolution.watcher.ends
    (lost,) = [number for number, failure, again in ends if again]
    assert [(number, failure) for number, failure, again in ends if number == lost] == [
        (lost, Failure.KILLED),
        (lost, None),
    ]
    trial = evolution.trials[lost]
    assert trial.state is COMPLETE
    assert trial.user_attrs["attempts"] == 2
    assert trial.user_attrs["device_seconds"] >= trial.user_attrs["seconds"]
    assert evolution.children[lost].info.status == "FINISHED"
    folder = arena / f"runs/evolve/s/trials/{lost:04d}"
    assert sorted(path.name for path in folder.glob("log*")) == ["log.1.txt", "log.txt"]
    assert len(evolution.trials) == 3


def test_a_trial_that_is_lost_again_and_again_is_given_up(evolution):
    evolution(1, options={"fail": "kill", "fail_above": 0.0}, retries=2, max_failures=1)
    assert evolution.watcher.starts == [(0, 1), (0, 2), (0, 3)]
    (trial,) = evolution.trials
    assert (trial.state, trial.user_attrs["failure"], trial.user_attrs["losses"]) == (FAIL, Failure.KILLED, 3)


def test_a_training_s_own_error_is_not_tried_again(evolution):
    evolution(1, options={"fail": "raise", "fail_above": 0.0}, retries=2, max_failures=1)
    assert evolution.watcher.starts == [(0, 1)]


@pytest.mark.parametrize(("pruner", "epochs"), [("median", 6), ("halving", 6), ("halving", 4)])
def test_a_hopeless_trial_is_pruned_and_counts_as_a_generation(evolution, pruner, epochs):
    summary = evolution(
        14, pruner=pruner, options={"epochs": epochs, "sleep": 0.02, "worse_above": DEFAULT_LR}
    )  # fmt: skip
    pruned = [trial for trial in evolution.trials if trial.state is PRUNED]
    assert pruned
    assert summary.done == 14
    assert len(evolution.csv) == 14 - len(pruned)
    for trial in pruned:
        assert trial.user_attrs["failure"] == Failure.PRUNED
        assert len(trial.intermediate_values) < epochs  # what is paid in full is kept
        run = evolution.children[trial.number]
        assert (run.info.status, run.data.tags["hypevo.state"]) == ("KILLED", "pruned")


def test_two_slots_work_at_the_same_time_and_share_the_threads(evolution, arena):
    evolution(4, slots_per_device=2, options={"epochs": 3, "sleep": 0.15})
    seen = [
        json.loads(path.read_text()) for path in sorted(arena.glob("runs/evolve/s/trials/*/witness.json"))
    ]
    together = [
        (a, b)
        for a in range(4)
        for b in range(a)
        if seen[a]["began"] < seen[b]["ended"] and seen[b]["began"] < seen[a]["ended"]
    ]
    assert together
    assert {entry["OMP_NUM_THREADS"] for entry in seen} == {str(max(1, len(os.sched_getaffinity(0)) // 2))}
    assert {entry["CUDA_VISIBLE_DEVICES"] for entry in seen} == {""}
    assert evolution.trials[0].params != evolution.trials[1].params


def test_no_slot_waits_for_another_one(evolution, arena):
    """While one slot is at a slow trial the other does all the rest: a barrier would give it one trial meanwhile."""
    evolution(5, slots_per_device=2, options={"fail": "slow once", "fail_above": 0.0})
    seen = [
        json.loads(path.read_text()) for path in sorted(arena.glob("runs/evolve/s/trials/*/witness.json"))
    ]
    slow = max(seen, key=lambda entry: entry["ended"] - entry["began"])
    assert sum(entry["ended"] < slow["ended"] and entry["ended"] > slow["began"] for entry in seen) >= 3


def test_the_sampler_s_matrices_take_one_thread(evolution, monkeypatch):
    """On a busy machine, threads that wait for each other made an ask up to 44 times as dear."""
    seen = []

    def advanced(self, **_):
        seen.extend(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")

    monkeypatch.setattr(type(evolution.watcher), "advanced", advanced)
    with threadpool_limits(limits=2, user_api="blas"):
        evolution(1)
        outside = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
    assert set(seen) == {1}
    assert set(outside) == {2}


def test_slots_start_staggered(evolution):
    evolution(2, slots_per_device=2, stagger=2.0, options={"epochs": 3, "sleep": 1.0})
    first, second = evolution.watcher.moments
    assert second - first > 1.0
    assert [number for number, _ in evolution.watcher.starts] == [0, 1]


@pytest.mark.parametrize("policy", ["best", "all", "none"])
def test_weights_are_kept_by_policy(evolution, arena, policy):
    summary = evolution(4, keep_weights=policy)
    kept = {int(path.parent.parent.name) for path in arena.glob("runs/evolve/s/trials/*/weights/best.pt")}
    assert kept == {"best": {summary.best.number}, "all": {0, 1, 2, 3}, "none": set()}[policy]


def test_patience_ends_it(evolution):
    summary = evolution(50, patience=3, min_gain=10.0)
    assert "no gain of more than 10 in 3 generations" in summary.stopped
    assert summary.done == 4
    assert not summary.failed
    assert evolution(50, patience=3, min_gain=10.0).done == 4  # and it stays ended


def test_patience_knows_the_noise_of_a_training(evolution):
    summary = evolution(300, patience=20, sampler="classic", options={"rough": 0.05})
    said = re.search(
        r"no gain of more than ([\d.e-]+), the scatter of fitness near the best, in \d+ gen", summary.stopped
    )
    assert said
    assert 0.02 < float(said[1]) < 0.1
    assert 20 < summary.done < 300


def test_patience_waits_until_it_can_tell_noise(evolution):
    assert evolution(11, patience=1).done == 11


def test_gpu_hours_end_it_over_all_calls(evolution):
    summary = evolution(50, gpu_hours=0.3 / 3600, options={"sleep": 0.1})
    assert "GPU-hours" in summary.stopped
    assert 1 <= summary.done <= 3
    assert evolution(50, gpu_hours=0.3 / 3600, options={"sleep": 0.1}).done == summary.done


def test_hours_end_it(evolution):
    summary = evolution(0, hours=0.5 / 3600, options={"sleep": 0.05})
    assert "hours are over" in summary.stopped
    assert summary.done >= 1


def test_another_plan_is_refused_and_every_difference_named(evolution, arena):
    evolution(1)
    before = {path: path.read_bytes() for path in arena.rglob("*") if path.is_file()}
    with pytest.raises(InputError) as refusal:
        evolution(2, fitness="mAP_0.5", options={"epochs": 5}, freeze=("lr0",))
    for words in ("--epochs was 2 and is now 5", "fitness was", "search space", "--study"):
        assert words in str(refusal.value)
    lock = arena / "mlruns/.optuna.journal.s.lock"
    after = {path: path.read_bytes() for path in arena.rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if k != lock} == {k: v for k, v in before.items() if k != lock}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trainer": "nowhere:train"}, "no module «nowhere»"),
        ({"trainer": "landscape:trian"}, "did you mean «train»"),
        ({"options": {"epohcs": "3"}}, "did you mean «--epochs»"),
        ({"options": {"epochs": "0"}}, "epochs: expected 1 or more"),
        ({"options": {"epochs": "many"}}, "expected a whole number, got «many»"),
        ({"hyp": "nowhere.yaml"}, "nowhere.yaml"),
        ({"space": Path("nowhere.yaml")}, "nowhere.yaml"),
        ({"freeze": ("lr9",)}, "lr9"),
        ({"fitness": "mAP_0.6"}, "mAP_0.6"),
        ({"device": "7"}, "no GPU"),
        ({"device": "tpu"}, "expected auto, cpu"),
        ({"out": Path("landscape.py")}, "--out"),
        ({"cache": Path("landscape.py")}, "--cache-dir"),
        ({"storage": "landscape.py/journal"}, "--storage"),
        ({"storage": "nosuchdb://x/y"}, "--storage"),
        ({"storage": "sqlite:///no/such/folder/x.db"}, "--storage"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(evolution, bare_arena, settings, words):
    (bare_arena / "mlflow.db").unlink()
    with pytest.raises(InputError) as refusal:
        evolution(2, **settings)
    assert words in str(refusal.value)
    assert [path.name for path in bare_arena.iterdir() if path.name != "__pycache__"] == ["landscape.py"]


def test_an_mlflow_that_does_not_answer_is_refused_before_anything_is_written(
    evolution, bare_arena, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (bare_arena / "mlflow.db").unlink()
    with pytest.raises(InputError, match=r"MLflow at http://127.0.0.1:9 does not answer"):
        evolution(2)
    assert [path.name for path in bare_arena.iterdir() if path.name != "__pycache__"] == ["landscape.py"]


def test_a_dataset_that_changed_since_the_study_began_is_told(evolution, arena):
    data = arena / "data.yaml"
    told = []
    for content in ("first", "first", "second"):
        data.write_text(content)
        evolution(len(told) + 1, options={"data": str(data)})
        told.append(any("dataset is not what it was" in line for line in evolution.watcher.messages))
    assert told == [False, False, True]


def test_a_new_study_does_not_write_over_another_one_s_trials(evolution, arena):
    evolution(2)
    (arena / "mlruns/optuna.journal").unlink()
    with pytest.raises(InputError, match=r"belongs to another study, «s» in --storage mlruns/optuna.journal"):
        evolution(2)
    assert len(list(arena.glob("runs/evolve/s/trials/*/result.json"))) == 2


def test_a_default_that_fails_is_measured_again_until_it_has_a_result(evolution, arena):
    (arena / "ailing.py").write_text(
        "from pathlib import Path\nSPACE = 'yolov5'\nMETRICS = ('score',)\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    if not Path('well').exists(): raise RuntimeError('ailing')\n"
        "    return {'score': hyp['lr0']}\n"
    )
    evolution(9, trainer="ailing:train", fitness="score", max_failures=2)
    assert [trial.params["lr0"] for trial in evolution.trials] == [DEFAULT_LR] * 2
    (arena / "well").touch()
    summary = evolution(3, trainer="ailing:train", fitness="score", max_failures=2)
    finished = [trial for trial in evolution.trials if trial.state is COMPLETE]
    assert summary.done == len(finished) == 3
    assert finished[0].params["lr0"] == DEFAULT_LR
    assert sum(trial.user_attrs.get("origin") == "default" for trial in finished) == 1


def test_a_metric_with_the_name_of_an_attribute_changes_nothing(evolution, arena):
    (arena / "odd.py").write_text(
        "SPACE = 'yolov5'\nMETRICS = ('seconds', 'failure', 'lineage', 'score')\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    return {'seconds': 77.0, 'failure': 1.0, 'lineage': 2.0, 'attempts': 3.0, 'score': hyp['lr0']}\n"
    )
    evolution(2, trainer="odd:train", fitness="score")
    for trial in evolution.trials:
        assert trial.state is COMPLETE
        assert trial.user_attrs["seconds"] < 77
        assert (trial.user_attrs["attempts"], trial.user_attrs["metrics/attempts"]) == (1, 3.0)
        assert "failure" not in trial.user_attrs
        assert evolution.children[trial.number].data.tags["hypevo.state"] == "complete"
    assert float(evolution.csv[0].split(",")[0]) == 77.0


def test_a_study_keeps_to_its_folder(evolution, arena):
    evolution(1)
    with pytest.raises(InputError, match=r"has its files in .*runs/evolve/s; continue it with --out"):
        evolution(2, out=Path("elsewhere"))
    (arena / "runs/evolve").rename(arena / "moved")
    assert evolution(2, out=Path("moved")).done == 2
    assert not (arena / "runs/evolve").exists()


def test_an_older_copy_of_the_storage_does_not_write_over_later_trials(evolution, arena):
    evolution(1)
    old = (arena / "mlruns/optuna.journal").read_bytes()
    evolution(3)
    (arena / "mlruns/optuna.journal").write_bytes(old)
    with pytest.raises(
        InputError, match=r"trial 2 is there, and --storage mlruns/optuna.journal knows 1 trials"
    ):
        evolution(3)


def test_the_same_dataset_elsewhere_continues_and_another_one_does_not(evolution, arena):
    (arena / "d").mkdir()
    (arena / "d/data.yaml").write_text("content")
    evolution(1, options={"data": "d/data.yaml"})
    assert evolution(2, options={"data": "./d/data.yaml"}).done == 2
    (arena / "d").rename(arena / "e")
    assert evolution(3, options={"data": "e/data.yaml"}).done == 3
    (arena / "other.yaml").write_text("another content")
    with pytest.raises(
        InputError, match=r"--data was e/data.yaml and is now other.yaml, which has another content"
    ):
        evolution(4, options={"data": "other.yaml"})


@pytest.mark.parametrize(
    "address", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_a_storage_in_memory_is_refused(evolution, address):
    with pytest.raises(InputError, match="a database in memory is lost"):
        evolution(1, storage=address)


def test_a_journal_that_is_deleted_under_a_running_study_stops_it(evolution, arena):
    (arena / "deleting.py").write_text(
        "from pathlib import Path\nSPACE = 'yolov5'\nMETRICS = ('score',)\n"
        "def train(hyp, *, out, seed, device, report):\n"
        "    if (out.parent / '0001').exists(): Path('mlruns/optuna.journal').unlink()\n"
        "    return {'score': hyp['lr0']}\n"
    )
    with pytest.raises(WorkError, match="journal was deleted while the study was at work"):
        evolution(12, trainer="deleting:train", fitness="score")
    assert len(list(arena.glob("runs/evolve/s/trials/*"))) == 2


def test_a_journal_cut_off_in_mid_line_is_mended(evolution, arena):
    evolution(3)
    before = individuals(evolution.trials)
    journal = arena / "mlruns/optuna.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","study_')
    evolution(4)
    assert "dropped half a line of 36 bytes" in " ".join(evolution.watcher.messages)
    assert individuals(evolution.trials)[:3] == before
    assert len(evolution.trials) == 4


def test_a_deleted_or_edited_csv_is_written_again(evolution, arena):
    evolution(2)
    path = arena / "runs/evolve/s/evolve.csv"
    whole = path.read_text()
    path.write_text("edited by hand\n")
    evolution(2)
    assert path.read_text() == whole
    path.unlink()
    evolution(2)
    assert path.read_text() == whole


def test_every_trial_s_process_may_leave_children_and_hang_at_exit(
    evolution, arena, nobody_left, monkeypatch
):
    monkeypatch.setattr("hypevo.trainings.local.FAREWELL", 1.0)
    evolution(2, options={"fail": "hang at exit", "fail_above": 0.0})
    evolution(2, study="t", options={"fail": "child", "fail_above": 0.0})
    nobody_left(arena)
    assert all(math.isfinite(trial.value) for trial in evolution.trials)
