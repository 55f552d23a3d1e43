"""Weights and datasets that aren't here yet: fetched once, by name or by the address in a data.yaml."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import bar
from .unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .data_yaml import DataConfig

_WEIGHTS = "https://github.com/ultralytics/yolov5/releases/download/v7.0"
_DATA = "https://raw.githubusercontent.com/ultralytics/yolov5/v7.0/data"
_RELEASED = {  # the folder of each published file
    **{f"yolov5{size}.pt": _WEIGHTS for size in "nsmlx"},
    **dict.fromkeys(("coco128.yaml", "coco128-seg.yaml"), _DATA),
}
_SHA256 = {"yolov5n.pt": "4f180cf23ba0717ada0badd6c685026d73d48f184d00fc159c2641284b2ac0a3"}
_CHUNK = 1 << 18  # bytes


def locate(name: str | Path) -> Path:
    """Return the path of a weights file or data.yaml, fetching a published one that is nowhere here.

    A bare name such as `yolov5s.pt` or `coco128.yaml` is looked for in the working directory, then in the user's
    cache, then at its public release, or below the address in `HYPEVO_MIRROR`.

    Raises:
        FileNotFoundError: There is no such file, and none of that name is published.
        ConnectionError: It can't be fetched; the message says where to put it by hand.
        ValueError: What was fetched isn't the published file.
    """
    path = Path(name)
    if path.exists():
        return path
    if str(path) not in _RELEASED:
        raise FileNotFoundError(
            f"no file {path.absolute()}; give the path of an existing one, "
            f"or a published name: {', '.join(_RELEASED)}"
        )
    kept = user_cache() / path.suffix.removeprefix(".") / path.name
    if not kept.exists():
        folder = os.environ.get("HYPEVO_MIRROR") or _RELEASED[path.name]
        url = f"{folder.rstrip('/')}/{path.name}"
        digest = fetch(url, kept, sha256=_SHA256.get(path.name), by_hand=f"put the file at {kept}")
        kept.with_name(f"{kept.name}.sha256").write_text(f"{digest}  {url}\n", encoding="utf-8")
    return kept


def obtain(config: DataConfig) -> None:
    """Fetch and unpack a dataset whose images are missing, from the address in its data.yaml.

    Raises:
        ConnectionError: It can't be fetched; the message says where to put it by hand.
        ValueError: The address is none of a zip, the zip isn't safe to unpack, or it lacks the images.
    """
    missing = config.missing()
    if not missing or config.download is None:
        return
    url, root = config.download, config.root
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"{config.path}: {missing[0]} does not exist, and `download` is no http address of a zip: "
            f"{url.splitlines()[0]!r}; get the dataset by hand"
        )
    archive = root.with_name(f"{root.name}-{secrets.token_hex(4)}.zip")
    try:
        digest = fetch(url, archive, by_hand=f"unpack it to {root}")
        unpack(archive, root)
    finally:
        archive.unlink(missing_ok=True)
    root.with_name(f"{root.name}.sha256").write_text(f"{digest}  {url}\n", encoding="utf-8")
    if config.missing():
        raise ValueError(f"{config.path}: the zip at {url} holds no {config.missing()[0].relative_to(root)}")


def user_cache() -> Path:
    """Return the folder of fetched files: `HYPEVO_CACHE`, or `hypevo` in the user's cache folder."""
    own = os.environ.get("HYPEVO_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypevo"


def fetch(url: str, path: Path, *, by_hand: str, sha256: str | None = None, timeout: float = 30) -> str:
    """Download a file to `path`, whole or not at all, and return its SHA-256.

    Args:
        url: An http or https address.
        path: Its folder is created when missing.
        by_hand: What a user without a network can do, for the error's text.
        sha256: Expected hash, where it is known.
        timeout: Seconds to wait for an answer or for more of it.

    Raises:
        ConnectionError: No answer, a refusal, or less than was announced.
        ValueError: The file isn't the expected one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    digest = hashlib.sha256()
    try:
        with unfinished.open("wb") as file:
            for chunk in _chunks(url, timeout, by_hand):
                file.write(chunk)
                digest.update(chunk)
        if sha256 and digest.hexdigest() != sha256:
            raise ValueError(
                f"{url} is not the file expected: its SHA-256 is {digest.hexdigest()}, not {sha256}; "
                f"fetch it from elsewhere: {by_hand}"
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return digest.hexdigest()


def _chunks(url: str, timeout: float, by_hand: str) -> Iterator[bytes]:
    """Yield what the address answers, with a progress bar on a terminal."""
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer, bar() as progress:
            announced = int(answer.headers.get("Content-Length") or 0)
            task = progress.add_task(url.rsplit("/", 1)[-1], total=announced or None)
            while chunk := answer.read(_CHUNK):
                yield chunk
                received += len(chunk)
                progress.update(task, completed=received)
        if received < announced:
            raise http.client.IncompleteRead(b"", announced - received)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"can't fetch {url} ({error or type(error).__name__}); check the network, or {by_hand}"
        ) from error
