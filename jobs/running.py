"""What a job can say and ask while it runs: progress, log lines, a checkpoint, and whether it was asked to stop.

    @shared_task(base=Durable, bind=True)
    def export(self, bookings: int) -> None:
        for n in range(self.running.saved or 0, bookings):
            self.running.check_cancelled()
            ...
            self.running.checkpoint(n + 1)
            self.running.progress(n + 1, bookings)

Each write is guarded by the attempt's token: a worker that lost its job writes nothing over the next attempt's. What is
only told (progress, lines) neither costs a job its life when the database is away, nor holds the row: within a
transaction of the body it waits, since nobody could see it there, and a cancel would have to wait for the commit.
"""

import logging
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

from celery import states
from celery.exceptions import Retry
from django.db import OperationalError, connection
from django.utils import timezone

from jobs import connections, holding
from jobs.models import Job
from jobs.payload import LONGEST, storable
from jobs.recorder import insist
from jobs.verdict import Stop, clean

logger = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two writes of progress and lines, and between two looks at the cancel flag
LINES, LETTERS = 200, 500  # kept; the oldest lines go first


class Running:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.arguments = (job.args, job.kwargs)  # as JSON, brought up to the task's version
        self.saved: Any = job.checkpoint  # by an earlier attempt
        self.begun = False  # the tracer has called the body; what is called then is a function
        self.returned = False  # the body has come to its end; what fails now is not its fault
        self.asked: Retry | None = None  # by retry(throw=False)
        self.transaction: ExitStack | None = None  # of an atomic body that has returned
        self.unwritten: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._lines: list[str] = []
        self._all_done = False
        self._written_at = self._asked_at = 0.0
        self._depth = _depth()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Shown in the admin. Written at most once a second, and when all is done."""
        before, self._all_done = self._all_done, done >= total  # a total that nobody knows is done all the time
        told = {"done": done, "total": total, "note": clean(str(note))[:LETTERS]}
        self.unwritten["progress"] = storable(told, "progress")
        self._write(now=self._all_done and not before)

    def tell_state(self, state: str | None, meta: Any) -> None:
        """A state of the task's own. Written at most once a second, and when the state is another."""
        if not state or state in states.ALL_STATES:
            raise ValueError(f"{state!r} is for the ledger to say. Name a state of your own, such as PROGRESS.")
        changed = self._told.get("state") != state
        self._told = self.unwritten["progress"] = {"state": state, "meta": storable(meta, "meta")}
        self._write(now=changed)

    def log(self, line: str) -> None:
        """Keep a line with the job; no addresses, please. The last 200 are kept."""
        self._lines = [*self._lines, f"{timezone.now():%H:%M:%S} {clean(str(line))[:LETTERS]}"][-LINES:]
        self.unwritten["log"] = _fitting(self._lines)
        self._write()

    def checkpoint(self, value: Any) -> None:
        """Save where the next attempt goes on; it finds the value in `saved`. Written at once.

        Within a transaction it is a part of it, as what was done until there is. Raises OperationalError when the
        database stays away: what was not saved must not be taken for saved.
        """
        self.saved = storable(value, "checkpoint")
        self._save()

    def check_cancelled(self) -> None:
        """Raises Stop if a cancel was asked for. Looks at the row at most once a second."""
        if time.monotonic() - self._asked_at >= INTERVAL:
            self._asked_at = time.monotonic()
            try:
                asked = holding.asked_to_stop([self.job.pk])
            except connections.AWAY as exc:
                self._go_on(exc)
            else:
                if asked:
                    raise Stop("a cancel was asked for")

    def finish(self) -> None:
        """Write what is left; the executor calls it. Of an atomic body, `atomic` does it with its success."""
        if self.transaction is None:
            self._write(now=True)

    def _write(self, *, now: bool = False) -> None:
        if not self.unwritten or not (now or time.monotonic() - self._written_at >= INTERVAL):
            return
        if _depth() > self._depth:
            return
        self._written_at = time.monotonic()
        try:
            holding.tell(self.job, **self.unwritten)
        except connections.AWAY as exc:
            self._go_on(exc)
        else:
            self.unwritten = {}

    def _save(self) -> None:
        save = partial(holding.tell, self.job, checkpoint=self.saved)
        if _depth() > self._depth:
            save()
        elif insist(save) is None:
            raise OperationalError("The checkpoint could not be saved: the database is away.")

    def _go_on(self, exc: Exception) -> None:
        if connection.in_atomic_block:  # nothing can be done in it any more
            raise exc
        logger.warning("job=%s goes on without the database: %s", self.job.pk, exc)
        connections.refresh()


def _depth() -> int:
    """In how many transactions and savepoints we are."""
    return connection.in_atomic_block + len(connection.savepoint_ids)


def _fitting(lines: list[str]) -> list[str]:
    """The newest of them, as many as a row keeps."""
    room = LONGEST
    for n, line in enumerate(reversed(lines)):
        room -= len(line.encode())
        if room < 0:
            return lines[-n:]
    return lines


class Detached(Running):
    """Of a body that is called as a function or eagerly: there is no row, so nothing is kept beyond the call."""

    def check_cancelled(self) -> None:
        pass

    def _save(self) -> None:
        pass

    def _write(self, *, now: bool = False) -> None:
        pass
