"""Files made to harm, as hyp file, space file and evolve.csv: refused in words, within bounded memory, nothing run.

Each is read by a process of its own that may use little memory; one that hangs fails the test by its time limit.
"""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hypevo.problem.settings import EvolveSettings
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import read_evolve_csv
from hypevo.study.plotting import plot

MEMORY = 800 * 2**20  # bytes of address space
READER = """
import resource, sys
from pathlib import Path
from hypevo.study.plotting import plot
from hypevo.problem.hyp import load_hyp
from hypevo.protocol import InputError
from hypevo.results.evolve_csv import read_evolve_csv
from hypevo.problem import space
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
def load_space(path):
    space.load_space(path, None)
def draw(path):
    plot(str(path), "", None, None, "recall")
try:
    {reader}(Path({path!r}))
except InputError as error:
    print(error)
    sys.exit(2)
"""

RUNS = "!!python/object/apply:os.system ['touch harmed']"
LAUGHS = "a: &a [lol, lol]\n" + "".join(
    f"{b}: &{b} [{f'*{a}, ' * 9}*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMB = pickle.dumps(InputError("harmless"))
HEADER = "metrics/recall,lr0,momentum\n"


def zeros(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**30)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


PLACES = [
    (zeros, "bytes; this one is longer"),
    (os.mkfifo, "no file but a folder, a pipe or a device"),
    (os.mkdir, "no file but a folder, a pipe or a device"),
    (device, "no file but a folder, a pipe or a device"),
    (loop, ""),
]
YAMLS = [
    (f"lr0: {RUNS}\n", "tags (!x) are not accepted"),
    (f"{RUNS}\n", "tags (!x) are not accepted"),
    (LAUGHS, "references (&x, *x) are not accepted"),
    ("lr0: " + "[" * 90_000, "nested deeper than 5 levels"),
    ("- " * 49_000 + "1\n", "nested deeper than 5 levels"),
    ("? " * 49_000 + "a\n", "nested deeper than 5 levels"),
    ("{a: " * 20_000 + "1" + "}" * 19_000, "nested deeper than 5 levels"),
    ("lr0: " + "9" * 90_000, "Exceeds the limit"),
    ("lr0: 1" + ":59" * 30_000 + ".5", "too large"),
    ("lr0: 0.01\0\n", "unacceptable character"),
    (BOMB, "expected a yaml file in UTF-8"),
    ("a" * 90_000 + ": 1\n", ""),
    ("".join(f"g{i}: [1]\n" for i in range(9_000)), "and 8980 more"),
    ("lr0: 1\n" * 100_000, "at most 100,000 bytes"),
]
CSVS = [
    (HEADER + "9" * 60_000_000, "line 2: expected at most 100,000 characters"),
    ("metrics/recall" + ",lr0" * 20_000_000, "line 1: expected at most 100,000 characters"),
    (HEADER + "0.5,0.01,0.9\n" * 500_000, "expected at most 100,000 individuals"),
    (HEADER + "x\n" * 500_000, "expected at most 100,000 individuals"),
    ("metrics/recall,\x1b[31mlr0,momentum\n0.5,0.01,0.9\n", "without control characters"),
    ("\0" * 1000, "expected a header that names metrics and genes"),
    (BOMB, "expected a header that names metrics and genes"),
]  # fmt: skip


def refusal(reader: str, path: Path) -> str:
    """What the reader says of a file that it refuses, in a process of its own."""
    script = READER.format(memory=MEMORY, reader=reader, path=str(path))
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=path.parent, timeout=120, check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert answer.returncode == 2, answer.stderr[-2000:]
    assert not (path.parent / "harmed").exists()
    assert len(answer.stdout) < 100_000
    return answer.stdout


def fill(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("reader", ["load_hyp", "load_space", "read_evolve_csv"])
@pytest.mark.parametrize(("make", "words"), PLACES)
def test_what_is_no_file_of_a_sane_length_is_refused(tmp_path, reader, make, words):
    make(tmp_path / "input.yaml")
    assert words in refusal(reader, tmp_path / "input.yaml")


@pytest.mark.parametrize("reader", ["load_hyp", "load_space"])
@pytest.mark.parametrize(("content", "words"), YAMLS, ids=range(len(YAMLS)))
def test_a_hostile_yaml_is_refused(tmp_path, reader, content, words):
    fill(tmp_path / "input.yaml", content)
    assert words in refusal(reader, tmp_path / "input.yaml")


@pytest.mark.parametrize(("content", "words"), CSVS, ids=range(len(CSVS)))
def test_a_hostile_csv_is_refused(tmp_path, content, words):
    fill(tmp_path / "evolve.csv", content)
    assert words in refusal("read_evolve_csv", tmp_path / "evolve.csv")


def test_a_picture_says_why_it_cannot_be_drawn(tmp_path):
    fill(tmp_path / "evolve.csv", HEADER + "0.5,1e308,0.9\n")
    assert "evolve.csv cannot be drawn" in refusal("draw", tmp_path / "evolve.csv")


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", ".hidden", "a\0b", "a\nb", "", "-rf", "/abs"])
def test_a_study_s_name_leads_nowhere_else(tmp_path, name):
    if name:
        with pytest.raises(InputError, match="--study: expected letters"):
            EvolveSettings(study=name)
    settings = EvolveSettings(options={"data": f"{name}/x.yaml"}, out=tmp_path)
    assert settings.folder.parent == tmp_path


@pytest.mark.parametrize(
    "data", ["../..", "..yaml", "...yaml", "a/..", ".", "-rf.yaml", "x/....yaml", "\x1b.yaml"]
)
def test_a_study_named_after_its_data_stays_inside(tmp_path, data):
    name = EvolveSettings(options={"data": data}, out=tmp_path).folder.name
    assert re.fullmatch(r"\w[\w.+-]*", name)
    EvolveSettings(study=name)  # one that could be typed as well


def test_names_of_columns_are_no_paths(tmp_path):
    """They reach Optuna as attributes, MLflow under a safe name, and no file system."""
    fill(tmp_path / "evolve.csv", "metrics/../../etc/x,metrics/recall,../../lr0,$\\frac$\n0.1,0.2,0.3,0.4\n")
    assert len(read_evolve_csv(tmp_path / "evolve.csv")) == 1
    plot(str(tmp_path / "evolve.csv"), "", None, None, "recall")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evolve.csv", "evolve.png", "history.png"]
