"""What travels to machines that do not see the driver's folder."""

import pytest

from hypevo.protocol import InputError
from hypevo.trainings import luggage, node


def test_code_and_small_texts_travel_and_nothing_else(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for name in (
        "mine.py",
        "pkg/inside.py",
        "data.yaml",
        "runs/old.py",
        ".git/hook.py",
        "venv/lib.py",
        "a.pt",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    (here / "venv/pyvenv.cfg").touch()
    (here / "big.txt").write_bytes(bytes(luggage.LARGEST + 1))
    luggage.pack(here, there)
    found = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert found == {"mine.py", "pkg/inside.py", "data.yaml"}


def test_a_folder_that_holds_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(luggage, "MOST", 10)
    (tmp_path / "mine.py").write_text("a" * 11)
    with pytest.raises(InputError, match="start from a folder that holds your own code"):
        luggage.pack(tmp_path, tmp_path / "there")


def test_other_code_has_other_versions(bare_arena):
    mine = bare_arena / "of_luggage.py"  # a name that no other test has imported
    mine.write_text((bare_arena / "landscape.py").read_text())
    before = node.versions("of_luggage:train")
    assert before == node.versions("of_luggage:train")
    with mine.open("a") as file:
        file.write("\n")
    after = node.versions("of_luggage:train")
    assert {name for name in before if before[name] != after[name]} == {"trainer of_luggage"}
    with pytest.raises(InputError, match="no module «nowhere»"):
        node.versions("nowhere:train")
