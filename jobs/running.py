"""What a job can say and ask while it runs: progress, log lines, a checkpoint, and whether it was asked to stop.

    @shared_task(base=Durable, bind=True)
    def export(self, bookings: int) -> None:
        for n in range(self.running.saved or 0, bookings):
            self.running.check_cancelled()
            ...
            self.running.checkpoint(n + 1)
            self.running.progress(n + 1, bookings)

Each write is guarded by the attempt's token: a worker that lost its job writes nothing over the next attempt's.
"""

import time
from contextlib import ExitStack
from typing import Any

from celery import states
from celery.exceptions import Retry
from django.utils import timezone

from jobs import holding
from jobs.models import Job
from jobs.payload import storable
from jobs.verdict import Stop

INTERVAL = 1.0  # seconds between two writes of progress and lines, and between two looks at the cancel flag
LINES = 200  # kept; the oldest go first


class Running:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.saved: Any = job.checkpoint  # by an earlier attempt
        self.begun = False  # the tracer has called the body; what is called then is a function
        self.asked: Retry | None = None  # by retry(throw=False)
        self.transaction: ExitStack | None = None  # of an atomic body that has returned
        self._unwritten: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._lines: list[str] = []
        self._written_at = self._asked_at = 0.0

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Shown in the admin. Written at most once a second, and when all is done."""
        self._unwritten["progress"] = {"done": done, "total": total, "note": note}
        self._write(now=done >= total)

    def tell_state(self, state: str | None, meta: Any) -> None:
        """A state of the task's own. Written at most once a second, and when the state is another."""
        if not state or state in states.ALL_STATES:
            raise ValueError(f"{state!r} is for the ledger to say. Name a state of your own, such as PROGRESS.")
        changed = self._told.get("state") != state
        self._told = self._unwritten["progress"] = {"state": state, "meta": storable(meta, "meta")}
        self._write(now=changed)

    def log(self, line: str) -> None:
        """Keep a line with the job; no addresses, please. The last 200 are kept."""
        self._lines = [*self._lines, f"{timezone.now():%H:%M:%S} {line[:500]}"][-LINES:]
        self._unwritten["log"] = storable(self._lines, "log lines")
        self._write()

    def checkpoint(self, value: Any) -> None:
        """Save where the next attempt goes on; it finds the value in `saved`. Written at once."""
        self.saved = storable(value, "checkpoint")
        self._unwritten["checkpoint"] = self.saved
        self._write(now=True)

    def check_cancelled(self) -> None:
        """Raises Stop if a cancel was asked for. Looks at the row at most once a second."""
        if time.monotonic() - self._asked_at >= INTERVAL:
            self._asked_at = time.monotonic()
            if holding.asked_to_stop([self.job.pk]):
                raise Stop("a cancel was asked for")

    def finish(self) -> None:
        """Write what is left; the executor calls it."""
        self._write(now=True)

    def _write(self, *, now: bool = False) -> None:
        if self._unwritten and (now or time.monotonic() - self._written_at >= INTERVAL):
            holding.tell(self.job, **self._unwritten)
            self._unwritten, self._written_at = {}, time.monotonic()


class Detached(Running):
    """Of a body that is called as a function or eagerly: there is no row, so nothing is kept beyond the call."""

    def check_cancelled(self) -> None:
        pass

    def _write(self, *, now: bool = False) -> None:
        pass
