"""Has a file of a stranger read by a process of its own, under limits, and tells what came of it.

Used by `pictures` and `texts`. A worker's pool process may have no children by multiprocessing, so this one is started
as a program (`sandbox`), without a shell, without the worker's environment, in an empty directory. The promise: a file
that is a bomb or a loop costs a few seconds and a reason; the worker goes on.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings

from jobs.library import parts, storage
from jobs.library.sandbox import TROUBLE
from jobs.models import StoredFile
from jobs.verdict import Permanent

LONGEST = 64 * 1024  # bytes of an answer
COMMAND = (sys.executable, "-P", "-B", "-X", "utf8", "-m", "jobs.library.sandbox")


class Refused(Permanent):
    """The file is not worked on. The text says why and holds nothing of its content."""


class Slow(OSError):
    """It took too long, though not of computing: the machine is busy, and later it may go well."""


class Trouble(OSError):
    """The machine's, not the file's: no room on its disk, or it cannot be written."""


@dataclass(frozen=True)
class Limits:
    memory: int = 768 * 1024**2  # bytes of address space, the interpreter's included
    cpu: int = 3  # seconds of computing, until it is read
    work: int = 0  # seconds for what is then made of it
    written: int = 64 * 1024**2  # bytes of the largest file that it may write
    wall: int = 30  # seconds, on a machine that has other things to do


LIMITS = Limits()


@contextmanager
def room(file: StoredFile) -> Iterator[Path]:
    """A directory with the file as `source`; gone afterwards."""
    with tempfile.TemporaryDirectory(dir=parts.folder(), prefix="sandbox-") as name:
        storage.copy(file, Path(name) / "source")
        yield Path(name)


def read(reader: str, folder: Path, options: Mapping[str, Any], limits: Limits = LIMITS) -> dict[str, Any]:
    """What the reader says of `source` in the folder; it may have written `target`. Raises Refused, Slow or Trouble."""
    asked = {
        "reader": reader,
        "source": str(folder / "source"),
        "target": str(folder / "target"),
        "options": dict(options),
        "limits": asdict(limits),
    }
    with (folder / "answer").open("w+b") as told:  # not a pipe: what it writes is limited as well
        code = _run(json.dumps(asked).encode() + b"\n", folder, told, limits.wall + 2)
        told.seek(0)
        return _understood(told.read(LONGEST), code, limits)


def _run(asked: bytes, folder: Path, told: IO[bytes], wall: int) -> int:
    child = subprocess.Popen(  # noqa: S603  # a fixed command, no shell
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=told,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PYTHONPATH": str(settings.BASE_DIR), "PATH": os.defpath, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"},
        start_new_session=True,
    )
    try:
        with suppress(BrokenPipeError):
            child.communicate(asked, timeout=wall)
        return child.wait(timeout=wall)
    except subprocess.TimeoutExpired:
        return -signal.SIGALRM
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _understood(told: bytes, code: int, limits: Limits) -> dict[str, Any]:
    if code == -signal.SIGALRM:
        raise Slow(f"it took longer than {limits.wall} s, most of which the machine did other things")
    if code == TROUBLE:
        raise Trouble(f"the disk of {parts.folder()} is full or cannot be written: make room")
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        work = f" to read it, or {limits.work} s to work on it" if limits.work else ""
        raise Refused(f"The file is refused: it takes more than {limits.cpu} s of computing{work}, or too much memory.")
    try:
        answer = json.loads(told)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or code or not ({"ok", "refused"} & answer.keys()):
        raise Refused(f"The file is refused: it made its reader crash (code {code}).")
    if "refused" in answer:
        raise Refused(f"The file is refused: {str(answer['refused'])[:300]}.")
    return dict(answer["ok"])
