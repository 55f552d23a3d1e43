from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from trainers.yolov5 import Settings, check, prepare
from trainers.yolov5 import fetch as fetch_all
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan
from trainers.yolov5.settings import GENES
from trainers.yolov5.sources import locate, obtain

REPO = str(Path(__file__).parents[3])
HYP = dict.fromkeys(GENES, 0.0) | {"lr0": 0.01, "warmup_epochs": 1.0, "anchor_t": 4.0}


def test_an_existing_path_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "yolov5s.pt").write_bytes(b"mine")
    assert locate("yolov5s.pt").read_bytes() == b"mine"
    assert server.asked == []


def test_published_weights_are_fetched_once_and_their_hash_recorded(server, tmp_path):
    server.files["/yolov5s.pt"] = b"weights"
    first, second = locate("yolov5s.pt"), locate("yolov5s.pt")
    assert first == second == tmp_path / "user" / "pt" / "yolov5s.pt"
    assert first.read_bytes() == b"weights"
    assert server.asked == ["/yolov5s.pt"]
    recorded = (first.parent / "yolov5s.pt.sha256").read_text()
    assert recorded.split() == [hashlib.sha256(b"weights").hexdigest(), f"{server.address}/yolov5s.pt"]


def test_published_weights_of_a_known_hash_are_checked(server):
    server.files["/yolov5n.pt"] = b"not the weights"
    with pytest.raises(ValueError, match="SHA-256"):
        locate("yolov5n.pt")


def test_an_unknown_name_lists_the_published_ones(server):
    for name, listed in (
        ("mine.pt", "yolov5n.pt, yolov5s.pt"),
        ("mine.yaml", "coco128.yaml, coco128-seg.yaml"),
    ):
        with pytest.raises(FileNotFoundError, match=rf"no file .*{name}; .* published name: {listed}"):
            locate(name)
    with pytest.raises(FileNotFoundError):
        locate("folder/yolov5s.pt")


def test_without_a_network_the_error_says_where_to_put_the_file(server, nobody, monkeypatch):
    monkeypatch.setenv("HYPEVO_MIRROR", nobody)
    with pytest.raises(ConnectionError, match=r"put the file at .*user/pt/yolov5s\.pt"):
        locate("yolov5s.pt")


def dataset_zip(prefix: str, **others: str) -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (20, 20)).save(picture, "PNG")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(f"{prefix}images/a.png", picture.getvalue())
        opened.writestr(f"{prefix}labels/a.txt", "0 .5 .5 .2 .2\n")
        for name, content in others.items():
            opened.writestr(name, content)
    return archive.getvalue()


@pytest.mark.parametrize("prefix", ["set/", "", "other/"], ids=["in a folder", "bare", "in another folder"])
def test_a_dataset_is_fetched_with_its_yaml_by_name(server, tmp_path, prefix):
    server.files["/coco128.yaml"] = (
        f"path: ../datasets/set\ntrain: images\nval: images\nnc: 1\ndownload: {server.address}/set.zip\n"
    ).encode()
    server.files["/set.zip"] = dataset_zip(prefix)
    for _ in range(2):
        obtain(load_data(locate("coco128.yaml")))
        config = load_data(locate("coco128.yaml"))
        assert len(scan(config, "train").boxes[0]) == 1
    assert server.asked == ["/coco128.yaml", "/set.zip"]
    kept = sorted(path.name for path in (tmp_path / "user" / "datasets").iterdir())
    assert len(kept) == 2
    assert kept[1] == f"{kept[0]}.sha256"
    assert not (tmp_path / "datasets").exists()


@pytest.mark.parametrize("place", ["~", ".", "..", "new"])
def test_a_dataset_goes_where_no_yaml_says(server, tmp_path, monkeypatch, place):
    home, project = tmp_path / "home", tmp_path / "project"
    for folder in (home, project):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(project)
    (project / "data.yaml").write_text(
        f"path: {place}\ntrain: images\nval: images\nnc: 1\ndownload: {server.address}/set.zip\n"
    )
    server.files["/set.zip"] = dataset_zip("", **{".bash_profile": "echo RUN", "yaml.py": "print('RUN')"})
    obtain(load_data("data.yaml"))
    assert len(scan(load_data("data.yaml"), "train")) == 1
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in written if path.name != "data.yaml"} == {"user"}
    assert not {path.name for path in written} & {".bash_profile", "yaml.py"}


def test_what_is_left_out_is_told(server, tmp_path, config):
    server.files["/set.zip"] = dataset_zip("", **{"yaml.py": "", "evil\x1b[2J.txt": "", ".git/config": ""})
    told: list[str] = []
    obtain(config(f"{server.address}/set.zip"), told.append)
    assert told[0].startswith("fetching the dataset of ")
    assert (
        f"{server.address}/set.zip, {len(server.files['/set.zip'])} bytes (at most 50 GB), into " in told[0]
    )
    assert str(tmp_path / "user" / "datasets" / "set-") in told[0]
    assert "left out 3 file(s) of " in told[1]
    assert r"yaml.py, evil\x1b[2J.txt, .git/config" in told[1]


def test_checking_says_what_would_be_fetched_and_fetches_nothing(server, config, tmp_path):
    server.files["/set.zip"] = dataset_zip("")
    server.files["/yolov5s.pt"] = b"weights"
    config(f"{server.address}/set.zip?key=secret")
    settings = Settings(data="data.yaml", weights="yolov5s.pt")
    notes = [message for level, message in check(settings, HYP, {}, tmp_path / "cache") if level == "absent"]
    assert len(notes) == 2
    assert f"{server.address}/set.zip, " in notes[0]
    assert "secret" not in notes[0]
    assert f"into {tmp_path / 'user' / 'datasets' / 'set-'}" in notes[0]
    assert f"{server.address}/yolov5s.pt, 7 bytes (at most 2 GB), into " in notes[1]
    assert server.asked == []
    assert not (tmp_path / "user").exists()


def test_preparing_fetches_and_then_checking_looks(server, config, tmp_path, capsys):
    server.files["/set.zip"] = dataset_zip("", **{"images/bad.png": "no image"})
    config(f"{server.address}/set.zip")
    settings = Settings(data="data.yaml", model="p", img=64, warmup_floor=0, batch=1)
    prepare(settings, tmp_path / "cache")
    told = capsys.readouterr().err
    assert f"fetching the dataset of {tmp_path / 'data.yaml'}" in told
    assert "warning: " in told
    assert "bad.png skipped: " in told
    assert not any(server.address in message for _, message in check(settings, HYP, {}))


def test_weights_that_were_fetched_are_looked_at_before_a_search(server, config, tmp_path):
    server.files["/set.zip"] = dataset_zip("")
    server.files["/yolov5s.pt"] = b"weights"
    config(f"{server.address}/set.zip")
    with pytest.raises(ValueError, match=r"yolov5s\.pt is no checkpoint"):
        prepare(Settings(data="data.yaml", weights="yolov5s.pt", img=64), tmp_path / "cache")


def test_who_is_told_can_say_no(server, config, tmp_path):
    class NoError(Exception):
        pass

    def say(text):
        raise NoError(text)

    config(f"{server.address}/set.zip")
    with pytest.raises(NoError, match="fetching the dataset"):
        fetch_all(Settings(data="data.yaml", model="p"), tmp_path / "cache", say=say)
    assert server.asked == []


def test_fetching_gives_settings_that_name_files(server, config, tmp_path):
    server.files["/set.zip"] = dataset_zip("")
    server.files["/yolov5s.pt"] = b"weights"
    config(f"{server.address}/set.zip")
    told: list[str] = []
    settings = fetch_all(
        Settings(data="data.yaml", weights="yolov5s.pt"), tmp_path / "cache", say=told.append
    )
    assert [text.partition(" from ")[0] for text in told] == [
        f"fetching the dataset of {tmp_path / 'data.yaml'}",
        "fetching the published yolov5s.pt",
    ]
    assert settings.weights == str(tmp_path / "user" / "pt" / "yolov5s.pt")


def test_a_dataset_beside_its_yaml_is_left_as_it_is(server, tmp_path):
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "mine.txt").write_text("mine")
    (tmp_path / "set" / "data.yaml").write_text(
        f"train: images\nval: val\nnc: 1\ndownload: {server.address}/set.zip\n"
    )
    server.files["/set.zip"] = dataset_zip("", **{"val/b.txt": "", "mine.txt": "theirs"})
    obtain(load_data(tmp_path / "set" / "data.yaml"))
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["data.yaml", "images", "mine.txt"]
    assert (tmp_path / "set" / "mine.txt").read_text() == "mine"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPEVO_CACHE", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)

    def make(download: str):
        (tmp_path / "data.yaml").write_text(
            f"path: set\ntrain: images\nval: images\nnc: 1\ndownload: {download}\n"
        )
        return load_data(tmp_path / "data.yaml")

    return make


def test_a_download_that_fails_names_the_place_to_unpack_to(config, nobody, tmp_path):
    with pytest.raises(ConnectionError, match=r"or unpack it to .*set"):
        obtain(config(f"{nobody}/set.zip"))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "script",
    ["bash get.sh", "|\n  from utils import download\n  download('https://a.org/set.zip')", "get.py --all"],
)
def test_a_script_is_not_run(config, script):
    first = script.removeprefix("|").split()[0]
    with pytest.raises(
        ValueError, match=rf"expected the address of a zip, got .{first} .*; scripts are not run"
    ):
        obtain(config(script))


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a.org/set.zip", "s3://set/set.zip"])
def test_another_scheme_is_refused_with_what_is_expected(config, address):
    with pytest.raises(
        ValueError, match=r"expected an http or https address of a file, got .*; get the dataset"
    ):
        obtain(config(address))


def test_a_zip_of_something_else_is_said_to_be(server, config):
    server.files["/set.zip"] = dataset_zip("set/other/")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"holds no images.*remove that folder to fetch it again"):
            obtain(config(f"{server.address}/set.zip"))
    assert server.asked == ["/set.zip"]


def test_data_that_is_there_is_not_fetched(server, config, tmp_path):
    (tmp_path / "set" / "images").mkdir(parents=True)
    obtain(config(f"{server.address}/set.zip"))
    assert server.asked == []


@pytest.mark.parametrize("moment", ["downloading", "unpacking"])
def test_one_that_is_killed_halfway_leaves_nothing_that_looks_whole(server, config, tmp_path, moment):
    server.files["/set.zip"] = dataset_zip("")
    if moment == "downloading":
        server.files["/set.zip"] = bytes(1_000_000)
        server.stuck = 500_000
    config(f"{server.address}/set.zip")
    program = (
        "import shutil, time\n"
        "from trainers.yolov5.data_yaml import load_data\n"
        "from trainers.yolov5.sources import obtain\n"
        "copy = shutil.copyfileobj\n"
        "shutil.copyfileobj = lambda source, file: (copy(source, file), file.flush(), time.sleep(600))\n"
        "obtain(load_data('data.yaml'))\n"
    )
    half = "unfinished-*.zip" if moment == "downloading" else "unfinished-*/**/a.png"
    with subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": REPO}) as process:
        while not any(path.stat().st_size for path in (tmp_path / "user" / "datasets").glob(half)):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert load_data("data.yaml").missing()
    server.stuck = -1
    server.files["/set.zip"] = dataset_zip("")
    obtain(load_data("data.yaml"))
    assert len(scan(load_data("data.yaml"), "train")) == 1


def test_an_address_that_cannot_be_reached_is_a_wrong_input(config, nobody, tmp_path):
    config(f"{nobody}/set.zip")
    settings = Settings(data="data.yaml", model="p")
    assert not any(level == "error" for level, _ in check(settings, HYP, {}))
    with pytest.raises(ValueError, match=r"can't fetch .*unpack it to"):
        prepare(settings, tmp_path / "cache")
