from __future__ import annotations

import os
import socket

import pytest

from trainers.yolov5.text import BadFileError, decoded, read_text

CHINESE = "train: 图片/训练\nnames: [猫, 狗]\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_with_and_without_its_mark(encoding):
    assert decoded(CHINESE.encode(encoding)) == CHINESE


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("0 .5 .5 .1 .1\n".encode("utf-16"), "got UTF-16"),
        ("0 .5 .5 .1 .1\n".encode("utf-16-le"), "got UTF-16"),
        ("0 .5 .5 .1 .1\n".encode("utf-16-be"), "got UTF-16"),
        (CHINESE.encode("utf-16"), "got UTF-16"),
        (CHINESE.encode("gbk"), "looks like GBK"),
        ("names: [café, Müller]".encode("latin-1"), "another encoding"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "not a text file"),
    ],
)
def test_other_encodings_are_told_what_they_are(data, kind):
    with pytest.raises(BadFileError, match="expected UTF-8 text") as caught:
        decoded(data)
    assert kind in str(caught.value)


def make_socket(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"), [(os.mkfifo, "a pipe"), (os.mkdir, "a folder"), (make_socket, "a socket")]
)
def test_what_is_no_file_is_told_what_it_is(tmp_path, make, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make("a.txt")
    with pytest.raises(BadFileError, match=f"expected a file, got {kind}"):
        read_text(tmp_path / "a.txt", 100)


def test_a_link_to_itself_can_not_be_reached(tmp_path):
    (tmp_path / "a.txt").symlink_to("a.txt")
    with pytest.raises(BadFileError, match="can't be reached"):
        read_text(tmp_path / "a.txt", 100)


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "none.txt", tmp_path / "file" / "none.txt"):
        with pytest.raises(FileNotFoundError, match=r"none\.txt"):
            read_text(path, 100)
