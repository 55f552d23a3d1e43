"""One server of `hypevo ui`, in a process that ends when `hypevo ui` does, however that ends.

`python -P -m hypevo.cli.served dashboard PORT` reads the storage's address and that of MLflow's page from its standard
input, where no list of processes shows them; `… mlflow PORT` reads MLflow's store. The end of that input is the end of
`hypevo ui`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import psutil

from hypevo.tracking.address import HOST, NAMES
from hypevo.trainings.descendants import kill_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from optuna.storages import BaseStorage

_NOT_OURS = (
    b"refused: this page is for a browser that opened http://127.0.0.1 itself; not for other pages or names\n"
)


def guarded(app: WSGIApplication) -> WSGIApplication:
    """An application that answers the pages it made, and 403 to whatever another web page asks.

    A page of another name can point that name at 127.0.0.1 (DNS rebinding): the name is in Host. One that asks
    across origins has its own name in Origin. None of ours may be shown inside another page, where a click is stolen.
    """
    from werkzeug.exceptions import SecurityError
    from werkzeug.wsgi import get_host

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            host = get_host(environ, NAMES) if "HTTP_HOST" in environ else None
        except SecurityError:
            host = None
        if host is None or environ.get("HTTP_ORIGIN") not in (None, f"http://{host}"):
            start("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(_NOT_OURS)))])
            return [_NOT_OURS]

        def unframed(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            kept = [("X-Frame-Options", "DENY")]
            if environ.get("PATH_INFO", "").startswith(
                "/artifacts/"
            ):  # a stranger's file may be a page of its own
                kept += [("Content-Security-Policy", "sandbox"), ("X-Content-Type-Options", "nosniff")]
            return start(status, [*headers, *kept], *more)

        return app(environ, unframed)

    return answer


def leading(app: WSGIApplication, storage: BaseStorage, mlflow: str) -> WSGIApplication:
    """An application that leads from `/mlflow/STUDY` to the study's run in MLflow, whose address fills two lines.

    Args:
        app: The application.
        storage: Knows the studies, by number.
        mlflow: The address of MLflow's page.
    """
    from hypevo.study.storage import EXPERIMENT, PARENT_RUN
    from hypevo.tracking.charts import run_path

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        which = re.fullmatch(r"/mlflow/(\d{1,18})", environ.get("PATH_INFO", ""))
        if which is None:
            return app(environ, start)
        try:
            known = storage.get_study_user_attrs(int(which[1]))
        except KeyError:
            known = {}
        experiment, run = known.get(EXPERIMENT), known.get(PARENT_RUN)
        path = run_path(quote(str(experiment)), quote(str(run))) if experiment and run else "/"
        start("302 Found", [("Location", mlflow + path), ("Content-Length", "0")])
        return [b""]

    return answer


def serve_dashboard(port: int, storage: str, mlflow: str) -> None:
    """Serve optuna-dashboard, guarded, until the process ends."""
    from optuna_dashboard import wsgi
    from werkzeug.serving import make_server

    from hypevo.study.artifacts import Artifacts
    from hypevo.study.storage import open_storage

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request
    opened = open_storage(storage)
    app = leading(wsgi(opened, Artifacts(opened)), opened, mlflow)
    make_server(HOST, port, guarded(app), threaded=True).serve_forever()


def end_with(lifeline: IO[bytes]) -> None:
    """End this process and those it started once the other end of the pipe is closed, as by the end of its process."""

    def watch() -> None:
        while os.read(lifeline.fileno(), 1024):  # unbuffered: Python's end does not wait for it
            pass
        try:
            for child in psutil.Process().children():
                kill_family(child.pid)
        finally:
            os._exit(0)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def main(what: str, port: str) -> None:
    """Serve one of the two."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for `hypevo ui`, with which this ends
    from hypevo.tracking.page import serve_mlflow

    told = json.loads(sys.stdin.buffer.readline())
    end_with(sys.stdin.buffer)
    serve: Callable[..., None] = serve_dashboard if what == "dashboard" else serve_mlflow
    serve(int(port), *told)


if __name__ == "__main__":
    main(*sys.argv[1:])
