"""`hypevo check` and `hypevo fetch` on a dataset that has an address only: said, then brought, then ready."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

DATA = "path: .\ntrain: images\nval: images\nnames: [a]\ndownload: http://127.0.0.1:{port}/set.zip\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def hypevo(tmp_path):
    """Runs the command in a folder with a stranger's data.yaml, whose zip holds a program too."""
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "set.zip", "w") as archive:
        for name in ("a", "b"):
            photo = io.BytesIO()
            Image.new("RGB", (64, 64), "teal").save(photo, "PNG")
            archive.writestr(f"images/{name}.png", photo.getvalue())
            archive.writestr(f"labels/{name}.txt", "0 .5 .5 .4 .4\n")
        archive.writestr("yaml.py", "open('ran', 'w')\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = tmp_path / "here"
    here.mkdir()
    (here / "data.yaml").write_text(DATA.format(port=server.server_port))
    environ = os.environ | {"HYPEVO_CACHE": str(tmp_path / "cache")}

    def run(*words, **more):
        command = [sys.executable, "-m", "hypevo", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=here, env=environ | more, check=False
        )
        assert not (here / "ran").exists()
        return done.returncode, done.stdout + done.stderr

    yield run
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_what_is_not_here_is_said_by_check_and_brought_by_fetch(hypevo, tmp_path):
    asked = ("--data", "data.yaml", "--model", "p")
    code, said = hypevo("check", *asked, "--device", "cpu")
    assert code == 1
    assert "absent: not here yet" in said
    assert "(at most 50 GB), into" in said
    assert "not ready" in said
    assert "hypevo fetch --data=data.yaml --model=p" in said
    assert not (tmp_path / "cache").exists()

    code, said = hypevo("fetch", *asked)
    assert code == 0
    assert "fetching the dataset of" in said
    assert "left out 1 file(s)" in said
    taken = sorted(
        path.name for path in (tmp_path / "cache").rglob("*") if path.suffix in (".png", ".txt", ".py")
    )
    assert taken == ["a.png", "a.txt", "b.png", "b.txt"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["data.yaml"]

    code, said = hypevo("check", *asked, "--device", "cpu")
    assert code == 0
    assert "ready: " in said
    assert "not ready" not in said
    code, said = hypevo("fetch", *asked)
    assert code == 0
    assert "fetching" not in said


def test_a_folder_that_is_named_gets_what_is_fetched(hypevo, tmp_path):
    code, said = hypevo("fetch", "--data", "data.yaml", "--model", "p", "--into", str(tmp_path / "mine"))
    assert code == 0
    assert f"HYPEVO_CACHE={tmp_path / 'mine'}" in said
    assert len(list((tmp_path / "mine").rglob("*.png"))) == 2
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--trainer", "trainers.external.command"), "fetches nothing"),
        (("--data", "other.yaml", "--model", "p"), "no file"),
    ],
)
def test_what_cannot_be_fetched_is_said(hypevo, options, words):
    code, said = hypevo("fetch", *options)
    assert code == 2
    assert words in said
    assert "Traceback" not in said
