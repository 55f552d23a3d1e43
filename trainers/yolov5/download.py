"""One file from the network: over http or https, up to a limit, whole or not at all; and the folder that keeps it."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import secrets
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..printable import printable
from ..progress import bar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

STALLED = 30.0  # seconds in which at least _LEAST bytes have to arrive
UNFINISHED = "unfinished-"  # how the names of half-made files and folders begin

_LEAST = 1 << 10  # bytes
_CHUNK = 1 << 18  # bytes
_ABANDONED = 24 * 3600  # seconds after which something half-made is nobody's any more


def user_cache() -> Path:
    """Return the folder of fetched files: `HYPEVO_CACHE`, or `hypevo` in the user's cache folder."""
    own = os.environ.get("HYPEVO_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypevo"


def dataset_folder(url: str) -> Path:
    """Return the folder that a dataset from this address gets for itself, in the user's cache."""
    stem = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2].removesuffix(".zip")
    name = re.sub("[^A-Za-z0-9_]+", "-", stem).strip("-")[:40] or "dataset"
    return user_cache() / "datasets" / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def fetched_roots(url: str, stated: Path) -> list[Path]:
    """Return the folders that the sources of a fetched dataset may be relative to, most likely first.

    Args:
        url: Where the dataset is from.
        stated: The root that its data.yaml states; the zip may have the files in a folder of that name, in another
            one, or bare.
    """
    folder = dataset_folder(url)
    if not folder.is_dir():
        return []
    return [folder / stated.name, folder, *sorted(path for path in folder.iterdir() if path.is_dir())]


def check_address(url: str) -> None:
    """Refuse what isn't an http or https address without a password.

    Raises:
        ValueError: It is something else.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or printable(url) != url or " " in url:
        secretless = re.sub("://.*@", "://", url.partition("?")[0])
        raise ValueError(f"expected an http or https address of a file, got {secretless[:100]!r}")
    if parts.username is not None:
        raise ValueError(
            f"expected an address without a user name and password, got one at {parts.hostname}; "
            "fetch the file by hand"
        )


def shown(url: str) -> str:
    """Return an address for a message: fit for a terminal, without what may be secret in it."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def size_text(size: float) -> str:
    """Return a number of bytes as people say it: 7.012 MB."""
    if size < 1000:
        return f"{size:.0f} bytes"
    power = 1 if size < 1e6 else 2 if size < 1e9 else 3
    return f"{size / 1000**power:.4g} {('kB', 'MB', 'GB')[power - 1]}"


def announced_size(url: str, *, timeout: float = 10) -> int | None:
    """Ask how large a file is, without fetching it; None where the server doesn't say."""
    try:
        with _opened(urllib.request.Request(url, method="HEAD"), timeout) as answer:
            return _length(answer)
    except (OSError, http.client.HTTPException):
        return None


def download(
    url: str, path: Path, *, most: int, by_hand: str, sha256: str | None = None, timeout: float = STALLED
) -> str:
    """Fetch a file to `path`, whole or not at all, and return its SHA-256. One cut off starts afresh the next time.

    Redirections are followed to http and https only, and from https to https only.

    Args:
        url: An http or https address.
        path: Its folder is created when missing.
        most: Largest size in bytes.
        by_hand: What a user without a network can do, for the error's text.
        sha256: Expected hash, where it is known.
        timeout: Seconds to wait for an answer, and in which a kilobyte has to arrive.

    Raises:
        ConnectionError: No answer, a refusal, less than was announced, or no progress.
        ValueError: The address is none, or the file is too large or isn't the expected one.
    """
    check_address(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(path.parent)
    unfinished = path.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{path.name}")
    digest = hashlib.sha256()
    try:
        with unfinished.open("xb") as file:
            for chunk in _chunks(url, path.parent, most, timeout, by_hand):
                file.write(chunk)
                digest.update(chunk)
        if sha256 and digest.hexdigest() != sha256:
            raise ValueError(
                f"{shown(url)} is not the file expected: its SHA-256 is {digest.hexdigest()}, not {sha256}; "
                f"fetch it from elsewhere: {by_hand}"
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return digest.hexdigest()


def clear_abandoned(folder: Path) -> None:
    """Remove what a process that was killed left half-made in `folder` a day ago or earlier."""
    for path in folder.glob(f"{UNFINISHED}*"):
        try:
            if time.time() - path.lstat().st_mtime < _ABANDONED:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError:
            continue  # another process clears the same


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http and https; never from https back to http."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https"):
            raise OSError(f"it leads on to {shown(newurl)}, and only http and https are followed")
        if scheme == "http" and req.type == "https":
            raise OSError(f"it leads on from https to {shown(newurl)}, where anybody could change the file")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(request: urllib.request.Request, timeout: float) -> HTTPResponse:
    """Open an address with handlers for http alone: urllib's usual opener knows file:, ftp: and data: too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        *(urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), _Redirects()),
        *(urllib.request.HTTPHandler(), urllib.request.HTTPSHandler()),
        *(urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()),
    ):
        opener.add_handler(handler)
    answer: HTTPResponse = opener.open(request, timeout=timeout)
    return answer


def _length(answer: HTTPResponse) -> int | None:
    text = answer.headers.get("Content-Length") or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _chunks(url: str, folder: Path, most: int, timeout: float, by_hand: str) -> Iterator[bytes]:
    """Yield what the address answers, with a progress bar on a terminal."""
    received = 0
    try:
        with _opened(urllib.request.Request(url), timeout) as answer, bar() as progress:
            announced = _length(answer)
            _refuse_too_large(url, announced or 0, most, folder, by_hand)
            task = progress.add_task(shown(url).rpartition("/")[2].replace("[", r"\["), total=announced)
            looked, seen = time.monotonic(), 0
            while chunk := answer.read1(_CHUNK):
                received += len(chunk)
                _refuse_too_large(url, received, most, None, by_hand)
                yield chunk
                progress.update(task, completed=received)
                if time.monotonic() - looked > timeout:
                    if received - seen < _LEAST:
                        raise TimeoutError(f"less than {_LEAST} bytes in {timeout:g} s")
                    looked, seen = time.monotonic(), received
        if announced is not None and received < announced:
            raise http.client.IncompleteRead(b"", announced - received)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"can't fetch {shown(url)} ({printable(error) or type(error).__name__}); "
            f"check the network, or {by_hand}"
        ) from error


def _refuse_too_large(url: str, size: int, most: int, folder: Path | None, by_hand: str) -> None:
    if size > most:
        raise ValueError(
            f"{shown(url)} is larger than {size_text(most)}, the most that is fetched; if it is right, {by_hand}"
        )
    if folder and size > (free := shutil.disk_usage(folder).free):
        raise ValueError(
            f"{shown(url)} takes {size_text(size)}, and {size_text(free)} are free in {printable(folder)}; "
            "make room, or name another folder in HYPEVO_CACHE"
        )
