"""Weights and datasets that aren't here yet: what would be fetched, and fetching it, each said before it begins."""

from __future__ import annotations

import os
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..printable import printable
from .data_yaml import DataConfig, load_data
from .download import (
    UNFINISHED,
    announced_size,
    check_address,
    dataset_folder,
    download,
    shown,
    size_text,
    user_cache,
)
from .settings import EMBEDDED
from .unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import Settings

    Say = Callable[[str], None]

_WEIGHTS = "https://github.com/ultralytics/yolov5/releases/download/v7.0"
_DATA = "https://raw.githubusercontent.com/ultralytics/yolov5/v7.0/data"
_RELEASED = {  # the folder of each published file
    **{f"yolov5{size}.pt": _WEIGHTS for size in "nsmlx"},
    **dict.fromkeys(("coco128.yaml", "coco128-seg.yaml"), _DATA),
}
_SHA256 = {"yolov5n.pt": "4f180cf23ba0717ada0badd6c685026d73d48f184d00fc159c2641284b2ac0a3"}
_MOST = {".pt": 2_000_000_000, ".yaml": 10_000_000}  # bytes
MOST_DATASET = 50_000_000_000  # bytes of a zip
_SCHEME = "[a-zA-Z][a-zA-Z0-9+.-]*://"  # of an address
_NAMED = 5  # files left out that are told by name


@dataclass(frozen=True)
class Missing:
    """Something that isn't here, and where it can be fetched."""

    what: str
    url: str
    place: Path  # the file or the folder that it becomes
    most: int  # bytes
    by_hand: str  # what a user without a network can do

    def offer(self) -> str:
        """What would be fetched, from where, how large it is (the server is asked) and into which place."""
        size = announced_size(self.url)
        told = "of a size that the server doesn't say" if size is None else f"{size_text(size)}"
        return (
            f"{self.what} from {shown(self.url)}, {told} (at most {size_text(self.most)}), "
            f"into {printable(self.place)}"
        )


def missing(settings: Settings) -> list[Missing]:
    """Return what `at_hand` would fetch, fetching nothing.

    A dataset is known once its data.yaml is here.

    Raises:
        FileNotFoundError: There is no such file, here or published.
        ValueError: The data.yaml is broken, or its `download` is none that is fetched.
    """
    wanted: list[Missing | None] = []
    if settings.data != EMBEDDED:
        path, lacking = _published(settings.data)
        wanted += [lacking] if lacking else [_missing_dataset(load_data(path, settings.split))]
    if settings.weights:
        wanted.append(_published(settings.weights)[1])
    return [item for item in wanted if item]


def tell(text: str) -> None:
    """Say something on standard error."""
    print(text, file=sys.stderr, flush=True)


def locate(name: str | Path, say: Say = tell) -> Path:
    """Return the path of a weights file or data.yaml, fetching a published one that is nowhere here.

    A bare name such as `yolov5s.pt` or `coco128.yaml` is looked for in the working directory, then in the user's
    cache, then at its public release, or below the address in `HYPEVO_MIRROR`.

    Raises:
        FileNotFoundError: There is no such file, and none of that name is published.
        ConnectionError: It can't be fetched; the message says where to put it by hand.
        ValueError: What was fetched isn't the published file.
    """
    path, lacking = _published(name)
    if lacking:
        say(f"fetching {lacking.offer()}")
        digest = download(
            lacking.url, path, most=lacking.most, sha256=_SHA256.get(path.name), by_hand=lacking.by_hand
        )
        _record(path, digest, lacking.url)
    return path


def obtain(config: DataConfig, say: Say = tell) -> None:
    """Fetch a dataset whose images are missing, from the address in its data.yaml, into a new folder of its own.

    `load_data` finds it there from then on. Nothing is written where the data.yaml's `path` says.

    Raises:
        ConnectionError: It can't be fetched; the message says where to put it by hand.
        ValueError: The address is none of a zip, the zip isn't safe to unpack, or it lacks the images.
    """
    lacking = _missing_dataset(config)
    if lacking is None:
        return
    folder = lacking.place
    say(f"fetching {lacking.offer()}")
    archive = folder.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{folder.name}.zip")
    try:
        digest = download(lacking.url, archive, most=lacking.most, by_hand=lacking.by_hand)
        try:
            left = unpack(archive, folder)
        except ValueError as error:
            raise ValueError(f"{shown(lacking.url)}: {error}; {lacking.by_hand}") from error
    finally:
        archive.unlink(missing_ok=True)
    _record(folder, digest, lacking.url)
    if left:
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        say(
            f"left out {len(left)} file(s) of {shown(lacking.url)}: {', '.join(left[:_NAMED])}{more}; taken are "
            "images, labels, lists and a data.yaml that are not hidden and have names that every system can hold"
        )
    _missing_dataset(load_data(config.path, config.split))


def _published(name: str | Path) -> tuple[Path, Missing | None]:
    """Return where a file is or will be, and if it isn't here yet, where it can be fetched."""
    path = Path(name)
    if path.exists():
        return path, None
    if str(path) not in _RELEASED:
        alike = [one for one in _RELEASED if Path(one).suffix == path.suffix] or _RELEASED
        raise FileNotFoundError(
            f"no file {printable(path.absolute())}; give the path of an existing one, "
            f"or a published name: {', '.join(alike)}"
        )
    kept = user_cache() / path.suffix.removeprefix(".") / path.name
    if kept.exists():
        return kept, None
    folder = os.environ.get("HYPEVO_MIRROR") or _RELEASED[path.name]
    url = f"{folder.rstrip('/')}/{path.name}"
    check_address(url)
    what = f"the published {path.name}" + (
        " (and then the dataset it names)" if path.suffix == ".yaml" else ""
    )
    by_hand = f"put the file at {printable(kept)}"
    return kept, Missing(what, url, kept, _MOST[path.suffix], by_hand)


def _missing_dataset(config: DataConfig) -> Missing | None:
    """Return what to fetch; None where all images are here, or no address says where they could be."""
    absent = config.missing()
    if not absent or config.download is None:
        return None
    url, where = config.download, printable(config.path)
    try:
        check_address(url)
    except ValueError as error:
        script = f"expected the address of a zip, got {url[:100]!r}; scripts are not run"
        raise ValueError(
            f"{where}: {printable(absent[0])} does not exist, and from `download` it can't be fetched: "
            f"{error if re.match(_SCHEME, url) else script}; get the dataset by hand"
        ) from error
    folder = dataset_folder(url)
    by_hand = f"unpack it to {printable(config.root)}"
    if folder.exists():
        raise ValueError(
            f"{where}: the zip at {shown(url)} holds no {printable(_below(absent[0], config.root))}; "
            f"it lies in {printable(folder)}. Correct the data.yaml, or remove that folder to fetch it again"
        )
    return Missing(f"the dataset of {where}", url, folder, MOST_DATASET, by_hand)


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _record(place: Path, digest: str, url: str) -> None:
    """Keep the hash of what was fetched, and from where, beside it."""
    place.with_name(f"{place.name}.sha256").write_text(f"{digest}  {shown(url)}\n", encoding="utf-8")
