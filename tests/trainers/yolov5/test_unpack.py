from __future__ import annotations

import os
import stat
import zipfile

import pytest

from trainers.yolov5 import unpack as unpack_module
from trainers.yolov5.unpack import _is_wanted, unpack


@pytest.fixture
def zipped(tmp_path):
    def write(entries: dict[str, bytes | str], link: str | None = None):
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in entries.items():
                opened.writestr(name, content)
            if link:
                entry = zipfile.ZipInfo("set/link")
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                opened.writestr(entry, link)
        return path

    return write


def left(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_files_land_in_the_root(zipped, tmp_path):
    unpack(zipped({"set/images/a.jpg": b"1", "set/labels/a.txt": b"2"}), tmp_path / "data" / "set")
    assert left(tmp_path / "data" / "set") == ["set/images/a.jpg", "set/labels/a.txt"]


def test_only_what_a_dataset_is_made_of_is_taken(zipped, tmp_path):
    taken = ["data.yaml", "images/a.JPG", "images/b.webp", "labels/a.txt", "train.txt"]
    left_out = [
        *(
            ".bash_profile",
            ".git/a.txt",
            "images/.a.jpg",
            "__MACOSX/._a.jpg",
            "yaml.py",
            "README",
            "other.yaml",
        ),
        *("conftest.py", "sub/setup.cfg", "a.jpg.exe", "photo.eps", "labels.cache", "x.pth"),
        *(
            "nul.txt",
            "COM1.jpg",
            "images/aux/a.jpg",
            "dir./a.jpg",
            "b .txt ",
            "a\x1b]52;c;x\x07.jpg",
            "a\u202ejpg.txt",
        ),
    ]
    archive = zipped(dict.fromkeys([*taken, *left_out], b"1"))
    told = unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path / "in" / "set") == taken
    assert len(told) == len(left_out)
    assert all(name.isprintable() for name in told)


def test_a_backslash_separates_folders_everywhere(zipped, tmp_path):
    unpack(zipped({"set\\images\\a.jpg": b"1"}), tmp_path / "in" / "set")
    assert left(tmp_path / "in" / "set") == ["set/images/a.jpg"]


def test_names_that_windows_cannot_hold_are_left_out_there():
    assert _is_wanted(("images", "12:30.jpg"), windows=False)
    assert not _is_wanted(("images", "12:30.jpg"), windows=True)


@pytest.mark.parametrize(
    "names",
    [
        ("A.jpg", "a.jpg"),
        ("Images/a.jpg", "images/a.jpg"),
        ("\u00e4.jpg", "a\u0308.jpg"),
        ("a.jpg", "./a.jpg"),
    ],
    ids=["case", "case of a folder", "normal forms", "twice"],
)
def test_two_files_for_one_place_are_refused(zipped, tmp_path, names):
    with pytest.raises(ValueError, match="two files for one place"):
        unpack(zipped(dict.fromkeys(names, b"1")), tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


def test_a_folder_that_is_there_is_not_written_into(zipped, tmp_path):
    (tmp_path / "in" / "set").mkdir(parents=True)
    (tmp_path / "in" / "set" / "mine.txt").write_text("mine")
    unpack(zipped({"mine.txt": b"theirs", "a.jpg": b"1"}), tmp_path / "in" / "set")
    assert left(tmp_path / "in") == ["set/mine.txt"]
    assert (tmp_path / "in" / "set" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", [stat.S_IFBLK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_what_is_no_file_is_refused(tmp_path, kind):
    entry = zipfile.ZipInfo("images/a.jpg")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as opened:
        opened.writestr(entry, b"1")
    with pytest.raises(ValueError, match="holds a device or pipe"):
        unpack(tmp_path / "set.zip", tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_nothing_taken_can_be_executed(tmp_path):
    entry = zipfile.ZipInfo("labels/a.txt")
    entry.external_attr = (stat.S_IFREG | 0o4777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as opened:
        opened.writestr(entry, b"1")
    unpack(tmp_path / "set.zip", tmp_path / "in" / "set")
    assert (tmp_path / "in" / "set" / "labels" / "a.txt").stat().st_mode & 0o7111 == 0


def test_too_many_files_are_refused(zipped, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, "MOST_FILES", 2)
    archive = zipped(dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), b"1"))
    with pytest.raises(ValueError, match="holds 3 files, expected at most 2"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


def test_a_list_of_files_is_not_read_whatever_its_length(zipped, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, "_LISTING", 200)
    archive = zipped(dict.fromkeys(("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"), b"1"))
    with pytest.raises(ValueError, match="its list of files is longer"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "set/../../evil.txt",
        "/evil.txt",
        "..\\evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "images/C:evil.txt",
        "\\\\server\\share\\evil.txt",
        "set/..\\..\\evil.txt",
    ],
)
def test_an_entry_that_leads_outside_is_refused(zipped, tmp_path, name):
    archive = zipped({"set/images/a.jpg": b"1", name: b"2"})
    with pytest.raises(ValueError, match=r"outside of its folder: .*evil\.txt"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


def test_a_link_is_refused(zipped, tmp_path):
    archive = zipped({"set/images/a.jpg": b"1"}, link="/etc/passwd")
    with pytest.raises(ValueError, match="holds a link: 'set/link'"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


def test_a_bomb_is_refused(zipped, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, "ALWAYS_FINE", 1 << 20)
    archive = zipped({"set/images/a.jpg": bytes(1 << 23)})
    with pytest.raises(ValueError, match="would grow to"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


@pytest.mark.parametrize("damage", [slice(0, 100), slice(5, None)])
def test_a_damaged_zip_is_refused(zipped, tmp_path, damage):
    archive = zipped({"set/images/a.jpg": bytes(range(256)) * 9})
    archive.write_bytes(archive.read_bytes()[damage])
    with pytest.raises(ValueError, match="be unpacked"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


def test_wrong_content_is_found_by_its_checksum(zipped, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("set/images/a.jpg", b"the pixels")
    archive.write_bytes(archive.read_bytes().replace(b"the pixels", b"The pixels"))
    with pytest.raises(ValueError, match="be unpacked: Bad CRC-32"):
        unpack(archive, tmp_path / "in" / "set")
    assert left(tmp_path) == ["set.zip"]


@pytest.mark.parametrize("name", ["../\x1b]52;c;x\x07.txt", "/\u202egpj.txt", "../a\nb.txt", "../a\x9b.txt"])
def test_a_name_in_a_zip_reaches_no_terminal_as_it_is(zipped, tmp_path, name):
    with pytest.raises(ValueError, match="outside of its folder") as caught:
        unpack(zipped({"a.jpg": b"1", name: b"2"}), tmp_path / "in" / "set")
    assert str(caught.value).isprintable()
