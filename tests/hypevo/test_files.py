"""Files are replaced as a whole or not at all."""

from pathlib import Path

import pytest

from hypevo.files import write_atomically


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
