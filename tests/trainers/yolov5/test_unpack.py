from __future__ import annotations

import stat
import zipfile

import pytest

from trainers.yolov5 import unpack as unpack_module
from trainers.yolov5.unpack import unpack


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
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_land_in_the_root(zipped, tmp_path):
    unpack(zipped({"set/images/a.jpg": b"1", "set/labels/a.txt": b"2"}), tmp_path / "data" / "set")
    assert left(tmp_path / "data") == ["set/images/a.jpg", "set/labels/a.txt"]


def test_what_is_there_stays(zipped, tmp_path):
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "images" / "mine.jpg").write_bytes(b"0")
    unpack(zipped({"images/a.jpg": b"1", "labels/a.txt": b"2"}), root)
    assert left(root) == ["images/mine.jpg", "labels/a.txt"]


@pytest.mark.parametrize(
    "name", ["../evil.txt", "set/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:evil.txt"]
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
