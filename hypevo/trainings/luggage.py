"""What travels to machines that do not see the driver's folder: its code and its small files of text."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hypevo.protocol import InputError

KINDS = (".py", ".yaml", ".yml", ".json", ".toml", ".txt", ".csv")
LARGEST, MOST = 1024**2, 50 * 1024**2  # bytes of a file, and of all
_ENTRIES = 50_000  # that are looked at
_LEFT = ("runs", "mlruns", "datasets", "node_modules", "__pycache__")


def pack(folder: Path, target: Path) -> None:
    """Copy what travels from a folder.

    Raises:
        InputError: it is too much.
    """
    total = entries = 0
    for where, inside, names in os.walk(folder):
        here = Path(where)
        inside[:] = [
            name
            for name in inside
            if not name.startswith(".") and name not in _LEFT and not (here / name / "pyvenv.cfg").exists()
        ]
        entries += len(inside) + len(names)
        for name in names:
            file = here / name
            if not name.endswith(KINDS) or not file.is_file() or (size := file.stat().st_size) > LARGEST:
                continue
            total += size
            copy = target / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if entries > _ENTRIES or total > MOST:
            raise InputError(
                f"{folder} holds more than can travel to the machines of a cluster ({_ENTRIES} files, {MOST >> 20} MB "
                f"of {' '.join(KINDS)}); start from a folder that holds your own code and little else"
            )
