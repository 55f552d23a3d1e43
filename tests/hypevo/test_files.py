"""Files are replaced as a whole or not at all."""

from pathlib import Path

import pytest

from hypevo import files
from hypevo.files import HeldError, write_atomically


def test_text_and_bytes_replace_the_old_content_exactly(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "a\nä\n")
    assert path.read_bytes() == "a\nä\n".encode()
    write_atomically(path, b"\x89PNG\r\n")
    assert path.read_bytes() == b"\x89PNG\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("")
    write_atomically(atomic, "")
    assert atomic.stat().st_mode == plain.stat().st_mode


def held(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> None:
    """Have a file of a name replaced by nobody for some attempts, as Windows does while a program has it open."""
    left = [times]
    really = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name == name and left[0] > 0:
            left[0] -= 1
            raise PermissionError(13, "Access is denied")
        return really(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(files, "_HELD", (3, 0.0))


def test_a_file_that_is_held_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    held(monkeypatch, "file", 2)
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_a_file_that_stays_held_is_as_it_was_and_that_is_said(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    held(monkeypatch, "file", 99)
    with pytest.raises(HeldError, match="file is open in another program"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_no_held_file(tmp_path, monkeypatch):
    held(monkeypatch, "file", 99)
    with pytest.raises(PermissionError) as denied:
        write_atomically(tmp_path / "file", "new")
    assert not isinstance(denied.value, HeldError)
