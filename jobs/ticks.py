"""The ticks that keep jobs moving: when the last one was, who gave it, and whether the clock can be believed.

Used by the dispatcher at each tick, by the stand-in of each worker and by the admin. All of it is one row, `Clock`,
written every two seconds at most, so that SQLite's single writer hardly notices.
"""

import logging
import threading
import time
from datetime import timedelta

from django.db.models.functions import Now

from jobs.hold import Reading, Verdict, Witness
from jobs.models import Clock

logger = logging.getLogger(__name__)

CLOCK = "clock"  # who ticks, unless a worker stands in
WRITTEN_EVERY = timedelta(seconds=2)
STALE = timedelta(seconds=10)  # after this long without a tick, workers stand in
SAID_EVERY = 60.0  # seconds between two log lines about the same hold

_witness, _looking = Witness(), threading.Lock()  # in the clock's worker, the stand-in's thread looks too
_said_at = -SAID_EVERY


def steady() -> float:
    """Seconds of a clock that nobody sets. It runs on while a laptop sleeps, where the system has such a one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def look(by: str = "") -> Clock:
    """Read the row and judge the clock. `by` makes it a tick of that one. Held while the row's held_since is set."""
    with _looking:
        asked = steady()
        row = Clock.row()
        answered = steady()
        reading = Reading(answered, row.now, answered - asked)
        verdict = _witness.look(reading, ticked_at=row.ticked_at, held=row.held_since is not None)
        reason = _witness.reason
    if verdict is Verdict.HOLD:
        _hold(row, reason)
    elif verdict is Verdict.RELEASE:
        release(reason)
        row.held_since = None
    elif verdict is Verdict.HELD:
        _say(row)
    age = abs(reading.now - row.ticked_at) if row.ticked_at else STALE
    if by and (row.ticked_by != by or age >= WRITTEN_EVERY or verdict is Verdict.HOLD):
        Clock.objects.update(ticked_at=Now(), ticked_by=by)
    return row


def missed(row: Clock) -> bool:
    """Whether nobody has ticked for too long. A tick from the future is none either: the clock was set back."""
    return row.ticked_at is None or abs(row.now - row.ticked_at) > STALE


def release(reason: str) -> bool:
    """Let jobs go out again. False: they were not held."""
    # The last tick may lie in the future of a clock that was set back, and would hold them again at once.
    held = Clock.objects.filter(held_since__isnull=False)
    released = held.update(held_since=None, held_reason="", ticked_at=Now()) > 0
    if released:
        logger.warning("dispatch released: %s", reason)
    return released


def _hold(row: Clock, reason: str) -> None:
    row.held_since, row.held_reason = row.now, reason
    free = Clock.objects.filter(held_since__isnull=True)
    if free.update(held_since=Now(), held_reason=reason):
        _say(row)


def _say(row: Clock) -> None:
    global _said_at
    if steady() - _said_at >= SAID_EVERY:
        _said_at = steady()
        logger.error("DISPATCH IS HELD, nothing is sent: %s. To send: manage.py release_hold", row.held_reason)
