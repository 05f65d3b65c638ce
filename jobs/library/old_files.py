"""Deletes old files beneath a directory, and nothing that lies elsewhere.

Used by `cleaners`. The promise: directories are opened one by one, each within the one before and never through a
link; so no name, and nobody who exchanges a directory for a link meanwhile, leads out of the root.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

DEEPEST = 20  # directories within one another
EXCHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENOENT)  # it became a link meanwhile, or is gone
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parts(folder: str) -> tuple[str, ...]:
    """The names of a path within the root. Raises ValueError for one that is not within."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\x00" in folder or "\\" in folder:
        raise ValueError(f"the folder {folder!r} is not one within the root; write names such as 2026/november")
    return path.parts


def removed(
    root: Path, folder: str, pattern: str, before: float, *, batch: Callable[[], int], dry_run: bool, stuck: list[str]
) -> Iterator[list[str]]:
    """The files last changed before that moment (seconds since 1970), by their paths within the root.

    Only ordinary files: links, sockets and the like stay. A root or folder that is not there is an empty one. What the
    system does not let us read or delete is added to `stuck`, with its reason, and ends nothing.
    """
    names, walk = parts(folder), _Walk(pattern, before, dry_run, stuck)
    try:
        with suppress(FileNotFoundError), _opened(Path(root), names) as directory:
            found: list[str] = []
            for path in walk.old(directory, "/".join(names), len(names)):
                found.append(path)
                if len(found) >= batch():
                    yield found
                    found = []
            if found:
                yield found
    except PermissionError as exc:
        stuck.append(f"{root}: {exc.strerror}")


@contextmanager
def _opened(root: Path, names: tuple[str, ...]) -> Iterator[int]:
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # the root itself is the owner's
    try:
        for name in names:
            inner = os.open(name, FLAGS, dir_fd=directory)
            os.close(directory)
            directory = inner
        yield directory
    except NotADirectoryError:
        raise ValueError(f"{'/'.join(names)} is not a folder within the root, or it is a link") from None
    finally:
        os.close(directory)


@dataclass(frozen=True)
class _Walk:
    pattern: str
    before: float
    dry_run: bool
    stuck: list[str]

    def old(self, directory: int, within: str, depth: int) -> Iterator[str]:
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{within}/{entry.name}" if within else entry.name
                with suppress(FileNotFoundError):  # somebody was faster
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode) and depth < DEEPEST:
                        yield from self._inner(directory, entry.name, path, depth)
                    elif self._is_meant(status, entry.name) and self._is_gone(directory, entry.name, path):
                        yield path

    def _is_meant(self, status: os.stat_result, name: str) -> bool:
        return stat.S_ISREG(status.st_mode) and status.st_mtime < self.before and fnmatchcase(name, self.pattern)

    def _is_gone(self, directory: int, name: str, path: str) -> bool:
        try:
            if not self.dry_run:
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return False
        except OSError as exc:
            self.stuck.append(f"{path}: {exc.strerror}")
            return False
        return True

    def _inner(self, directory: int, name: str, path: str, depth: int) -> Iterator[str]:
        try:
            inner = os.open(name, FLAGS, dir_fd=directory)
        except OSError as exc:
            if exc.errno not in EXCHANGED:
                self.stuck.append(f"{path}: {exc.strerror}")
            return
        try:
            old = os.fstat(inner).st_mtime < self.before
            yield from self.old(inner, path, depth + 1)
        finally:
            os.close(inner)
        if old and not self.dry_run:
            with suppress(OSError):  # not empty
                os.rmdir(name, dir_fd=directory)
