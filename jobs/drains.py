"""Draining a queue: nothing more is sent, and what runs may end.

Called by `manage.py jobs drain` before maintenance. The queue is paused, so it stays shut when the waiting is over,
however it ended and whatever restarts, until somebody resumes it. The promise: `empty` means that no worker has a
job of the queue any more.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from jobs import pauses
from jobs.expressions import HELD
from jobs.models import Job, Pause

LOOK_EVERY = timedelta(seconds=1)


@dataclass(frozen=True)
class Draining:
    """How far it is: queued jobs taken back at the start, jobs that still run, and for how long we wait."""

    taken_back: int
    running: int
    waited: timedelta

    @property
    def empty(self) -> bool:
        return self.running == 0


def drain(
    queue: str,
    timeout: timedelta,
    *,
    by: str,
    reason: str = "drained",
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Draining]:
    """Pause the queue, then tell how far it is until it is empty or the timeout is over. The last one is the result."""
    taken_back = pauses.pause(Pause.Kind.QUEUE, [queue], by=by, reason=reason)
    started = time.monotonic()
    while True:
        waited = timedelta(seconds=time.monotonic() - started)
        now = Draining(taken_back, Job.objects.filter(HELD, queue=queue).count(), waited)
        yield now
        if now.empty or waited >= timeout:
            return
        sleep(min(LOOK_EVERY, timeout - waited).total_seconds())
