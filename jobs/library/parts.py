"""A file that is being written, a part at a time, and goes on where a lost worker was.

Used by `exports`. Each attempt writes a file of its own: it begins with a copy of what the attempt before had
certainly written. The promise: a worker that was given up for dead and writes on spoils nobody's file.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from django.conf import settings

BLOCK = 1024 * 1024


class Part:
    """`size` bytes that will be there after any accident to the process or the machine."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self._file = path.open("r+b" if size else "wb")
        self._file.seek(size)

    def write(self, content: bytes) -> None:
        self._file.write(content)

    def add(self, path: Path) -> None:
        """The content of another file, without having all of it in memory."""
        with path.open("rb") as source:
            shutil.copyfileobj(source, self._file, BLOCK)

    def settle(self) -> int:
        """Make sure of what was written. Returns the size, for a checkpoint."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.size = self._file.tell()
        return self.size

    def close(self) -> None:
        self._file.close()


def folder() -> Path:
    found = Path(settings.JOBS_WORK_DIR)
    found.mkdir(parents=True, exist_ok=True, mode=0o700)
    return found


def resumed(job: UUID, token: int, before: int | None, size: int) -> Part:
    """The file of this attempt, with the first `size` bytes of what attempt `before` wrote.

    Where those are not to be had (another machine, a cleaned disk), its size is 0 and the work begins anew.
    """
    path = _path(job, token)
    if before is None or not size:
        return Part(path, 0)
    try:
        with _path(job, before).open("rb") as source:
            if os.fstat(source.fileno()).st_size < size:
                return Part(path, 0)
            _copy(source, path, size)
    except FileNotFoundError:
        return Part(path, 0)
    return Part(path, size)


def forget(job: UUID) -> None:
    """Nobody goes on with them."""
    for path in folder().glob(f"{job.hex}.*"):
        path.unlink(missing_ok=True)


@contextmanager
def beside(job: UUID, token: int, ending: str) -> Iterator[Path]:
    """Another file of this attempt, gone afterwards."""
    path = folder() / f"{job.hex}.{token}.{ending}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _path(job: UUID, token: int) -> Path:
    return folder() / f"{job.hex}.{token}.part"


def _copy(source: BinaryIO, path: Path, size: int) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target, BLOCK)
        target.truncate(size)
