from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from trainers.yolov5 import fetch as fetch_module
from trainers.yolov5.data_yaml import load_data
from trainers.yolov5.dataset import scan
from trainers.yolov5.fetch import fetch, locate, obtain


class Server:
    """A web server on loopback that serves the files given to it and counts what is asked."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = 0  # bytes that an answer lacks at its end
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                content = server.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - server.cut])

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch, tmp_path):
    running = Server()
    thread = threading.Thread(target=running.http.serve_forever)
    thread.start()
    monkeypatch.setenv("HYPEVO_MIRROR", running.address)
    monkeypatch.setenv("HYPEVO_CACHE", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    yield running
    running.http.shutdown()
    running.http.server_close()
    thread.join()


@pytest.fixture
def nobody():
    """An address where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_a_file_is_fetched_whole_and_hashed(server, tmp_path):
    server.files["/a.bin"] = bytes(range(256)) * 4000
    digest = fetch(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", by_hand="")
    assert (tmp_path / "new" / "a.bin").read_bytes() == server.files["/a.bin"]
    assert digest == hashlib.sha256(server.files["/a.bin"]).hexdigest()
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_half_a_file_is_an_error_and_leaves_nothing(server, tmp_path):
    server.files["/a.bin"] = bytes(5000)
    server.cut = 1000
    with pytest.raises(ConnectionError, match=r"a\.bin .*check the network, or put it there"):
        fetch(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", by_hand="put it there")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_refusal_names_the_address(server, tmp_path):
    with pytest.raises(ConnectionError, match=r"can't fetch http://127.*none\.bin \(HTTP Error 404"):
        fetch(f"{server.address}/none.bin", tmp_path / "a.bin", by_hand="")


def test_another_file_than_expected_is_refused(server, tmp_path):
    server.files["/a.bin"] = b"changed"
    with pytest.raises(ValueError, match="not the file expected"):
        fetch(f"{server.address}/a.bin", tmp_path / "new" / "a.bin", by_hand="", sha256="0" * 64)
    assert list((tmp_path / "new").iterdir()) == []


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
    with pytest.raises(FileNotFoundError, match=r"no file .*mine\.pt.*yolov5n\.pt.*coco128\.yaml"):
        locate("mine.pt")
    with pytest.raises(FileNotFoundError):
        locate("folder/yolov5s.pt")


def test_without_a_network_the_error_says_where_to_put_the_file(server, nobody, monkeypatch):
    monkeypatch.setenv("HYPEVO_MIRROR", nobody)
    with pytest.raises(ConnectionError, match=r"put the file at .*user/pt/yolov5s\.pt"):
        locate("yolov5s.pt")


def dataset_zip(prefix: str) -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (20, 20)).save(picture, "PNG")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(f"{prefix}images/a.png", picture.getvalue())
        opened.writestr(f"{prefix}labels/a.txt", "0 .5 .5 .2 .2\n")
    return archive.getvalue()


@pytest.mark.parametrize("prefix", ["set/", ""], ids=["in a folder", "bare"])
def test_a_dataset_is_fetched_with_its_yaml_by_name(server, prefix):
    server.files["/coco128.yaml"] = (
        f"path: ../datasets/set\ntrain: images\nval: images\nnc: 1\ndownload: {server.address}/set.zip\n"
    ).encode()
    server.files["/set.zip"] = dataset_zip(prefix)
    for _ in range(2):
        config = load_data(locate("coco128.yaml"))
        obtain(config)
        assert len(scan(config, "train").boxes[0]) == 1
    assert server.asked == ["/coco128.yaml", "/set.zip"]
    kept = sorted(path.name for path in config.root.parent.iterdir())
    assert kept == ["set", "set.sha256"]


def test_a_dataset_beside_its_yaml_is_unpacked_around_it(server, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data.yaml").write_text(
        f"train: images\nval: images\nnc: 1\ndownload: {server.address}/set.zip\n"
    )
    server.files["/set.zip"] = dataset_zip("")
    config = load_data(tmp_path / "set" / "data.yaml")
    obtain(config)
    assert len(scan(config, "train")) == 1
    assert config.path.exists()


@pytest.fixture
def config(tmp_path):
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


def test_a_script_is_not_run(config):
    with pytest.raises(ValueError, match=r"no http address of a zip: 'bash get.sh'"):
        obtain(config("bash get.sh"))


def test_a_zip_of_something_else_is_said_to_be(server, config):
    server.files["/set.zip"] = dataset_zip("set/other/")
    with pytest.raises(ValueError, match="holds no images"):
        obtain(config(f"{server.address}/set.zip"))


def test_data_that_is_there_is_not_fetched(server, config, tmp_path):
    (tmp_path / "set" / "images").mkdir(parents=True)
    obtain(config(f"{server.address}/set.zip"))
    assert server.asked == []


def test_the_cache_follows_the_users_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("HYPEVO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch_module.user_cache() == tmp_path / "hypevo"
