"""A small dataset, written as a test wants it; and a web server that answers as a test wants it."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image


@pytest.fixture
def make(tmp_path):
    """Write images with labels under a folder, and a data.yaml."""

    def write(yaml: str, images: dict[str, str | None] = {}, root: str = "set"):  # noqa: B006
        for name, label in images.items():
            image = tmp_path / root / "images" / name
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24), (90, 20, 10)).save(image)
            if label is not None:
                text = tmp_path / root / "labels" / name
                text.parent.mkdir(parents=True, exist_ok=True)
                text.with_suffix(".txt").write_text(label)
        path = tmp_path / "data.yaml"
        path.write_text(yaml, encoding="utf-8")
        return path

    return write


class Server:
    """A web server on loopback that serves the files given to it and counts what is asked."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = 0  # bytes that an answer lacks at its end
        self.lengths = True  # whether answers say theirs
        self.leads_on: dict[str, str] = {}  # path -> address
        self.stops = threading.Event()  # lets go answers that make no progress
        self.stuck = -1  # bytes after which an answer makes none
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                content = server.files.get(self.path)
                if self.path in server.leads_on:
                    self.send_response(302)
                    self.send_header("Location", server.leads_on[self.path])
                elif content is None:
                    self.send_response(404)
                else:
                    self.send_response(200)
                    if server.lengths:
                        self.send_header("Content-Length", str(len(content)))
                self.end_headers()

            def do_GET(self):
                server.asked.append(self.path)
                self.do_HEAD()
                content = server.files.get(self.path, b"")
                if server.stuck >= 0:
                    self.wfile.write(content[: server.stuck])
                    while not server.stops.wait(0.05):
                        self.wfile.write(b"x")
                    return
                self.wfile.write(content[: len(content) - server.cut])

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch, tmp_path):
    running = Server()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("HYPEVO_MIRROR", running.address)
    monkeypatch.setenv("HYPEVO_CACHE", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path)
    yield running
    running.stops.set()
    running.http.shutdown()
    running.http.server_close()
    thread.join()


@pytest.fixture
def nobody():
    """An address where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"
