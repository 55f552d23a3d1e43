"""A program of the user's own, run to its end: what it prints goes to the log as it comes, and its end is judged.

    run(command, cwd=None, variables={}, heard=on_line, look=on_tick)    # a training; returns when it ended well
    ask(command, cwd=None, variables={}, patience=60)                    # a question; returns what it printed

Both raise `ProgramError` for any other end. Its text is the program's last error line with its exit code or signal;
its attribute `failure` says how the training failed: «killed» (a signal; hypevo tries again), «out of memory», «disk
full», «diverged», «device failed» (hypevo tries again, elsewhere if it can), else «crashed». hypevo judges a training
in Python by the same words; a test holds the two together, as neither may import the other.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import IO

POLL = 0.5  # seconds between looks
_TAIL = 40  # lines of output in which the reason of a failure is looked for
_LONGEST = 10_000  # characters of a line; what goes on longer is cut into several
_FAREWELL = (
    5.0  # seconds that output may still take after the program's end: what it started may hold the pipe
)
_SHELL = 128  # a shell ends with this plus the signal that ended its program
_SIGNALS = {1, 2, 6, 7, 9, 11, 15}  # with which a shell's exit code is believed
_WINDOWS_FAULT = 0xC0000000  # exit codes of Windows from which the system ended a program

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(r"\b(\w*error|\w*exception|fatal|abort\w*|failed|killed)\b", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(
    r"out of memory|can.?t allocate memory|cannot allocate memory|unable to allocate pinned memory|bad_alloc|"
    r"unable to find an engine|^MemoryError|OutOfMemory|OUT_OF_MEMORY|"
    r"(CUBLAS|CUDNN)_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)",
    re.IGNORECASE,
)
_DEVICE_FAILED = re.compile(
    r"uncorrectable|GPU is lost|fallen off the bus|no CUDA-capable device|"
    r"device(s|\(s\))? (is/)?are busy or unavailable|"
    r"(CUDA|HIP) error: (unspecified launch failure|an illegal memory access|unknown error|initialization error|"
    r"hardware stack error|the launch timed out|misaligned address)|CUDA (unknown error|driver initialization failed)|"
    r"No (CUDA|HIP) GPUs are available|(CUBLAS|CUDNN)_STATUS_(EXECUTION_FAILED|MAPPING_ERROR|INTERNAL_ERROR)",
    re.IGNORECASE,
)
_DISK_FULL = re.compile(r"no space left on device|not enough space on the disk", re.IGNORECASE)
_DIVERGED = re.compile(r"^FloatingPointError\b")


class ProgramError(RuntimeError):
    """A program ended otherwise than well.

    Attributes:
        failure: How, in hypevo's words: «killed», «out of memory», «disk full», «diverged», «device failed» or
            «crashed».
    """

    def __init__(self, reason: str, failure: str = "crashed") -> None:
        super().__init__(reason)
        self.failure = failure


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    heard: Callable[[str], None] | None = None,
    look: Callable[[], object] | None = None,
) -> None:
    """Run a program to its end.

    What it prints, on either stream, is passed on to standard output unchanged: that is the training's log.

    Args:
        command: The program and its arguments.
        cwd: Folder to run it in.
        variables: Environment variables to set for it, over those of this process.
        heard: Called with each line that it prints, without colours; a carriage return ends a line too.
        look: Called twice a second, and once after the end: where files are looked at as they grow.

    Raises:
        ProgramError: It cannot be started, or did not end well.
        Exception: What `heard` or `look` raise ends the program, with all that it started, and passes through.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    tail: deque[str] = deque(maxlen=_TAIL)

    def take(wait: float | None) -> bool:
        try:
            line = lines.get(timeout=wait) if wait else lines.get_nowait()
        except queue.Empty:
            return False
        if line.strip():
            tail.append(line)
        if heard is not None:
            heard(line)
        return True

    with _started(command, cwd, variables, subprocess.STDOUT) as process:
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        while process.poll() is None:
            take(POLL)
            while take(None):
                pass
            if look is not None:
                look()
        reader.join(_FAREWELL)
        while take(None):
            pass
        if look is not None:
            look()
    if process.returncode != 0:
        raise judged(command, process.returncode, tail)


def ask(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    patience: float = 60.0,
) -> str:
    """Run a program that answers a question, and return what it printed on standard output.

    Raises:
        ProgramError: It cannot be started, took more than `patience` seconds, or did not end well.
    """
    with _started(command, cwd, variables, subprocess.PIPE) as process:
        try:
            out, errors = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{_name(command)} did not answer within {patience:g} seconds") from None
    answer = str(out.decode("utf-8", "replace"))
    if process.returncode != 0:
        said = [*answer.splitlines(), *errors.decode("utf-8", "replace").splitlines()]
        raise judged(command, process.returncode, [_COLOUR.sub("", line) for line in said[-_TAIL:]])
    return answer


def judged(command: Sequence[str], code: int, tail: Sequence[str]) -> ProgramError:
    """The error that an exit code and the last lines of output stand for.

    Args:
        command: The program and its arguments.
        code: Its exit code; negative for a signal, as Python has it.
        tail: Its last lines.
    """
    number = -code if code < 0 else code - _SHELL if code - _SHELL in _SIGNALS else 0
    how = f"ended with exit code {code}"
    failure = "crashed"
    if number:
        with suppress(ValueError):
            how = f"was ended by signal {signal.Signals(number).name}"
        failure = "killed"
    elif code >= _WINDOWS_FAULT:
        how, failure = f"was ended by the system with {code:#x}", "killed"
    lines = [line.strip() for line in tail if line.strip()]
    for words, kind in (
        (_OUT_OF_MEMORY, "out of memory"),
        (_DISK_FULL, "disk full"),
        (_DIVERGED, "diverged"),
        (_DEVICE_FAILED, "device failed"),
    ):
        found = [line for line in lines if words.search(line)]
        if found:
            return ProgramError(f"{printable(found[-1])} ({_name(command)} {how})", kind)
    errors = [line for line in lines if _ERROR.search(line)]
    if number and not errors:  # whatever it was printing has nothing to do with it
        return ProgramError(f"{_name(command)} {how}", failure)
    last = (errors or lines)[-1:]
    if not last:
        return ProgramError(f"{_name(command)} {how}, and had printed nothing", failure)
    return ProgramError(f"{printable(last[0])} ({_name(command)} {how})", failure)


@contextmanager
def _started(
    command: Sequence[str], cwd: Path | None, variables: Mapping[str, str] | None, errors: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A program at work; what is raised meanwhile ends it, with all that it started."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(variables or {})}
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    except OSError as error:
        raise ProgramError(f"{_name(command)} cannot be started: {error}") from error
    try:
        yield process
    except BaseException:  # also what a report raises to stop the training
        _kill(process)
        raise
    finally:
        process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    import psutil

    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    process.kill()


def _read(pipe: IO[bytes], lines: queue.SimpleQueue[str]) -> None:
    """Pass a program's output on to standard output, and its lines into a queue."""
    log = getattr(sys.stdout, "buffer", None)
    rest = b""
    while chunk := pipe.read1(65536):  # type: ignore[attr-defined]  # of the buffered reader that Popen makes
        if log is not None:
            log.write(chunk)
            log.flush()
        *whole, rest = re.split(rb"[\r\n]", rest + chunk)
        for line in whole:
            lines.put(_text(line))
        while len(rest) > _LONGEST:
            lines.put(_text(rest[:_LONGEST]))
            rest = rest[_LONGEST:]
    if rest:
        lines.put(_text(rest))


def _text(line: bytes) -> str:
    return _COLOUR.sub("", line.decode("utf-8", "replace"))


def _name(command: Sequence[str]) -> str:
    """What a person calls the program: its script where an interpreter runs one."""
    names = [Path(word).name for word in command[:2]]
    script = len(names) == 2 and not command[1].startswith("-") and names[1].endswith((".py", ".sh"))
    return printable(names[1] if script else names[0])
