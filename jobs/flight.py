"""The flight recorder: which jobs of a shared message a worker process was at, for its parent to read after a crash.

Written by the executor, read by `requests`. One byte for each job, in memory that pool processes share with the main
process that forked them: a killed process says nothing any more, and a note in the database for each job would cost
what sharing a message saves.
"""

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SEATS = 1000  # the most jobs that may share a message
RUNNING, OVER = 1, 2

_HEAD = struct.Struct("=I")  # whose notes these are
_SIZE = _HEAD.size + SEATS
_PLACES = 256  # process ids that leave the same remainder use the same place; then nobody can be told from his place
_memory = mmap.mmap(-1, _PLACES * _SIZE)  # shared, because made before the pool is forked

_seats: dict[str, int] = {}


def board(ids: Sequence[str]) -> None:
    """This process begins a message with these jobs."""
    _seats.clear()
    _seats.update((pk, seat) for seat, pk in enumerate(ids[:SEATS]))
    start = _place(os.getpid())
    _memory[start : start + _SIZE] = _HEAD.pack(os.getpid()) + bytes(SEATS)


@contextmanager
def running(pk: str) -> Iterator[None]:
    """The job of that id is being run. Some may be at a time, on threads."""
    note = _place(os.getpid()) + _HEAD.size + _seats.get(pk, 0)
    _memory[note] = RUNNING
    yield
    _memory[note] = OVER


def has(pid: int, ids: Sequence[str], pk: str) -> int:
    """What the process notes about one of its message's `ids`: 0 if it has not begun with it, RUNNING or OVER."""
    seat = _place(pid) + _HEAD.size + ids.index(pk)
    return _memory[seat] if _HEAD.unpack_from(_memory, _place(pid)) == (pid,) else 0


def suspects(pid: int, ids: Sequence[str]) -> list[str]:
    """Those of the message's `ids` that the process was running when it died; the one that began first comes first.

    Between two jobs it was running none: then it is the last that it had run, since a job that kills its process has
    to be counted, or it would do so for ever.
    """
    start = _place(pid)
    notes = _memory[start + _HEAD.size : start + _SIZE]
    if _HEAD.unpack_from(_memory, start) != (pid,):
        return list(ids[:1])
    found = [pk for pk, note in zip(ids, notes, strict=False) if note == RUNNING]
    last = notes.rfind(OVER)
    return found or list(ids[max(last, 0) :][:1])


def _place(pid: int) -> int:
    return pid % _PLACES * _SIZE
