"""Deletes old files beneath a directory, and nothing that lies elsewhere.

Used by `cleaners`. The promise: directories are opened one by one, each within the one before and never through a
link; so no name, and nobody who exchanges a directory for a link meanwhile, leads out of the root.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

DEEPEST = 20  # directories within one another
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parts(folder: str) -> tuple[str, ...]:
    """The names of a path within the root. Raises ValueError for one that is not within."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\x00" in folder or "\\" in folder:
        raise ValueError(f"the folder {folder!r} is not one within the root; write names such as 2026/november")
    return path.parts


def removed(
    root: Path, folder: str, pattern: str, before: float, *, batch: Callable[[], int], dry_run: bool
) -> Iterator[list[str]]:
    """The files last changed before that moment (seconds since 1970), by their paths within the root.

    Only ordinary files: links, sockets and the like stay. A root or folder that is not there is an empty one.
    """
    names = parts(folder)
    with suppress(FileNotFoundError), _opened(Path(root), names) as directory:
        found: list[str] = []
        for path in _old(directory, "/".join(names), pattern, before, dry_run, len(names)):
            found.append(path)
            if len(found) >= batch():
                yield found
                found = []
        if found:
            yield found


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


def _old(directory: int, within: str, pattern: str, before: float, dry_run: bool, depth: int) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{within}/{entry.name}" if within else entry.name
            with suppress(FileNotFoundError):  # somebody was faster
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and depth < DEEPEST:
                    yield from _inner(directory, entry.name, path, pattern, before, dry_run, depth)
                elif stat.S_ISREG(status.st_mode) and status.st_mtime < before and fnmatchcase(entry.name, pattern):
                    if not dry_run:
                        os.unlink(entry.name, dir_fd=directory)
                    yield path


def _inner(
    directory: int, name: str, path: str, pattern: str, before: float, dry_run: bool, depth: int
) -> Iterator[str]:
    try:
        inner = os.open(name, FLAGS, dir_fd=directory)
    except OSError:  # it became a link meanwhile, or is not ours to read
        return
    try:
        old = os.fstat(inner).st_mtime < before
        yield from _old(inner, path, pattern, before, dry_run, depth + 1)
    finally:
        os.close(inner)
    if old and not dry_run:
        with suppress(OSError):  # not empty
            os.rmdir(name, dir_fd=directory)
