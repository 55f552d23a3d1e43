from __future__ import annotations

import hashlib
import os
import time
import urllib.request

import pytest

from trainers.yolov5.download import (
    _Redirects,
    announced_size,
    clear_abandoned,
    dataset_folder,
    download,
    size_text,
    user_cache,
)


def test_a_file_is_fetched_whole_and_hashed(server, tmp_path):
    server.files["/a.bin"] = bytes(range(256)) * 4000
    digest = download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", most=1 << 30, by_hand="")
    assert (tmp_path / "new" / "a.bin").read_bytes() == server.files["/a.bin"]
    assert digest == hashlib.sha256(server.files["/a.bin"]).hexdigest()
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_half_a_file_is_an_error_and_leaves_nothing(server, tmp_path):
    server.files["/a.bin"] = bytes(5000)
    server.cut = 1000
    with pytest.raises(ConnectionError, match=r"a\.bin .*check the network, or put it there"):
        download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", most=1 << 30, by_hand="put it there")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_refusal_names_the_address(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"can't fetch http://127.*none\.bin \(HTTP Error 404"):
        download(f"{server.address}/none.bin", tmp_path / "a.bin", most=1 << 30, by_hand="")


def test_another_file_than_expected_is_refused(server, tmp_path):
    server.files["/a.bin"] = b"changed"
    with pytest.raises(ValueError, match="not the file expected"):
        download(
            f"{server.address}/a.bin", tmp_path / "new" / "a.bin", most=1 << 30, by_hand="", sha256="0" * 64
        )
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("lengths", [True, False], ids=["announced", "not announced"])
def test_a_file_beyond_the_limit_is_refused_with_the_limit(server, tmp_path, lengths):
    server.files["/a.bin"] = bytes(5000)
    server.lengths = lengths
    with pytest.raises(ValueError, match=r"a\.bin is larger than 4 kB, the most .*put it there"):
        download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", most=4000, by_hand="put it there")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("stuck", [0, 5000], ids=["from the start", "after some"])
def test_a_trickle_is_no_progress(server, tmp_path, stuck):
    server.files["/a.bin"] = bytes(100_000)
    server.stuck = stuck
    with pytest.raises(ConnectionError, match="less than 1024 bytes in"):
        download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", most=1 << 30, by_hand="", timeout=0.3)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_it_is_not_led_on_to_another_scheme(server, tmp_path, address):
    server.leads_on["/a.bin"] = address
    with pytest.raises(ConnectionError, match=r"is not allowed|only http and https are followed"):
        download(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", most=1 << 30, by_hand="")
    assert list((tmp_path / "new").iterdir()) == []


def test_it_is_led_on_to_another_address(server, tmp_path):
    server.leads_on["/a.bin"] = f"{server.address}/b.bin"
    server.files["/b.bin"] = b"content"
    download(f"{server.address}/a.bin", tmp_path / "a.bin", most=1 << 30, by_hand="")
    assert (tmp_path / "a.bin").read_bytes() == b"content"


def test_it_is_not_led_on_from_https_to_http():
    request = urllib.request.Request("https://example.org/a.bin")
    with pytest.raises(OSError, match=r"from https to http://example.org/b\.bin"):
        _Redirects().redirect_request(request, None, 302, "", {}, "http://example.org/b.bin?key=secret")


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://a/b",
        "bash get.sh",
        "/etc/passwd",
        "http:///x",
        "http://a/\x1b]52;c;x\x07",
        "http://[/",
    ],
)
def test_what_is_no_address_is_refused(tmp_path, address):
    with pytest.raises(ValueError, match="expected an http or https address") as caught:
        download(address, tmp_path / "a.bin", most=1, by_hand="")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "address",
    [
        "https://joe:hunter2@a.org/x",
        "ftp://joe:hunter2@a.org/x",
        "http://a b/?key=hunter2",
        "https://j:hun@ter2@a.org/x",
    ],
)
def test_secrets_in_an_address_are_not_told(server, tmp_path, address):
    with pytest.raises(ValueError, match="expected an") as caught:
        download(address, tmp_path / "x", most=1, by_hand="")
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)
    with pytest.raises(ConnectionError) as missing:
        download(f"{server.address}/x.zip?key=hunter2", tmp_path / "x", most=1, by_hand="")
    assert "hunter2" not in str(missing.value)


def test_the_size_is_asked_without_fetching(server, nobody):
    server.files["/a.bin"] = bytes(1234)
    assert announced_size(f"{server.address}/a.bin") == 1234
    assert server.asked == []
    assert announced_size(f"{nobody}/a.bin") is None
    server.lengths = False
    assert announced_size(f"{server.address}/a.bin") is None


def test_what_a_killed_download_left_is_cleared_a_day_later(tmp_path):
    for name in ("unfinished-old.zip", "unfinished-new.zip", "mine.zip"):
        (tmp_path / name).touch()
    (tmp_path / "unfinished-folder").mkdir()
    (tmp_path / "unfinished-folder" / "a.jpg").touch()
    two_days_ago = time.time() - 2 * 24 * 3600
    for name in ("unfinished-old.zip", "unfinished-folder", "mine.zip"):
        os.utime(tmp_path / name, (two_days_ago, two_days_ago))
    clear_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.zip", "unfinished-new.zip"]


@pytest.mark.parametrize(("size", "text"), [(999, "999 bytes"), (7012345, "7.012 MB"), (50e9, "50 GB")])
def test_sizes_are_told_as_people_say_them(size, text):
    assert size_text(size) == text


def test_the_cache_follows_the_users_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("HYPEVO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "hypevo"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://a.org/coco128.zip", "coco128-"),
        ("https://a.org/ds/x?key=1", "x-"),
        ("https://a.org/..%2F..%2F.ssh.zip", "ssh-"),
        ("https://a.org/", "dataset-"),
        ("https://a.org/CON.zip", "CON-"),
    ],
)
def test_each_address_has_a_folder_of_its_own_below_the_cache(monkeypatch, tmp_path, address, name):
    monkeypatch.setenv("HYPEVO_CACHE", str(tmp_path))
    folder = dataset_folder(address)
    assert folder.parent == tmp_path / "datasets"
    assert folder.name.startswith(name)
    assert folder != dataset_folder(f"{address}&2")
