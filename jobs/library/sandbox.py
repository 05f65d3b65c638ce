"""The process in which files of strangers are read: `python -m jobs.library.sandbox`. It has limits and no secrets.

Started by `confinement`; knows neither Django nor the database. One line of JSON comes in (what to do, with which
files), one goes out: `ok` with what was found, or `refused` with the reason. The promise: whatever a file does to its
reader, it is this process that pays for it.
"""

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from jobs.library.refusal import Refused

TROUBLE = 75  # our exit code (EX_TEMPFAIL) for what is the machine's fault and not the file's
MACHINES = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENFILE}
READERS = {"picture": "jobs.library.pixels", "document": "jobs.library.documents"}


def limit(memory: int, cpu: int, work: int, written: int, wall: int) -> None:
    """Bytes and seconds. What goes over them is told by the system: MemoryError, SIGXCPU, EFBIG, SIGALRM.

    A reader that has read what a stranger wrote may raise its own limit by `work` seconds.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + work + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    signal.alarm(wall)  # also when nobody is there any more to end us


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """What the reader found. Everything that it raises is a reason, but the machine's own trouble."""
    try:
        reader: Callable[..., dict[str, Any]] = import_module(READERS[asked["reader"]]).read
        return {"ok": reader(Path(asked["source"]), Path(asked["target"]), asked["options"])}
    except Refused as exc:
        return {"refused": str(exc)}
    except MemoryError:
        return {"refused": "it needs too much memory"}
    except RecursionError:
        return {"refused": "it is nested too deeply"}
    except OSError as exc:
        if exc.errno in MACHINES:
            raise
        if exc.errno == errno.EFBIG:
            return {"refused": "what would be made of it is too large"}
        return {"refused": f"it cannot be read: {exc.strerror or type(exc).__name__}"}
    except Exception as exc:  # readers raise all sorts of things at broken files; their texts may quote them
        return {"refused": f"it cannot be read: {type(exc).__name__}"}


def main() -> None:
    asked = json.loads(sys.stdin.buffer.readline())
    limit(**asked["limits"])
    try:
        print(json.dumps(answer(asked)), flush=True)  # noqa: T201  # the answer
    except OSError:  # a disk that is full, also for the answer
        os._exit(TROUBLE)  # nothing more is flushed


if __name__ == "__main__":
    main()
