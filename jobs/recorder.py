"""Writes verdicts into rows: errors one by one, the plain successes of a batch together.

Used by the executor. A success waits at most 100 ms for company, whatever its batch does meanwhile. What a killed
process had not written yet runs again, as after any lost worker.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Self

from django.db import Error, connection

from jobs import connections, ledger, replacing
from jobs.models import Attempt
from jobs.verdict import Verdict

logger = logging.getLogger(__name__)

LONGEST_WAIT = timedelta(milliseconds=100)
WAIT = LONGEST_WAIT.total_seconds() / 2  # the job that ends after that takes the others along
FULL = 500
TRIES, LONGEST_PAUSE = 12, 5.0  # times and seconds, together some 40: as long as a restart or a failover takes


def record(verdict: Verdict) -> str:
    """Write one verdict now. Returns what became of it, for the log."""
    if verdict.outcome:
        return verdict.outcome
    try:
        return verdict.verb if insist(partial(_write, verdict)) else "late"
    except Error as exc:
        # The database refuses this very outcome. Without an end the job would run again and again.
        logger.error("job=%s outcome refused by the database: %s", verdict.job.pk, type(exc).__name__)
        plain = Attempt(
            outcome=Attempt.Outcome.ERRORED, error=f"its outcome could not be stored ({type(exc).__name__})"
        )
        return "give_up" if insist(partial(ledger.give_up, verdict.job, plain)) else "late"


def _write(verdict: Verdict) -> object:
    job, attempt = verdict.job, verdict.attempt
    if verdict.successor is not None:
        return replacing.hand_over(job, verdict.successor)
    if attempt is None:
        return ledger.succeed(job, verdict.result)
    if verdict.verb == "rescue":
        return ledger.rescue(job, killed=attempt.error)
    if verdict.verb == "back_off":
        return ledger.back_off(job, verdict.delay, attempt, **verdict.changes)
    if isinstance(verdict.delay, datetime):
        return ledger.snooze(job, verdict.delay, attempt)
    if verdict.verb == "stop" and ledger.stop(job, attempt):
        return True
    return ledger.give_up(job, attempt, verdict.result)  # also a job that stops without having been asked


class Recorder:
    """The successes of one message, written together. A context manager; its methods are thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[Verdict] = []
        self._oldest = 0.0
        self._lock = threading.Lock()  # of the list
        self._writing = threading.Lock()  # who leaves the block has seen everything written
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._flush_late, name="jobs-recorder", daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.flush()

    def add(self, verdict: Verdict) -> None:
        if verdict.attempt is not None or verdict.successor is not None or verdict.outcome:
            record(verdict)
            return
        with self._lock:
            now = time.monotonic()
            self._oldest = self._oldest if self._waiting else now
            self._waiting.append(verdict)
            due = len(self._waiting) >= FULL or now - self._oldest >= WAIT
        if due:
            self.flush()

    def flush(self) -> None:
        with self._writing:
            with self._lock:
                some, self._waiting = self._waiting, []
            if not some:
                return
            jobs, results = [verdict.job for verdict in some], [verdict.result for verdict in some]
            try:
                insist(partial(ledger.succeed_many, jobs, results))
            except Error:
                for verdict in some:  # find the one that the database refuses
                    record(verdict)

    def _flush_late(self) -> None:
        """For batches whose next job takes longer than a success should wait."""
        while not self._over.wait(LONGEST_WAIT.total_seconds()):
            if self._waiting and time.monotonic() - self._oldest > LONGEST_WAIT.total_seconds():
                self.flush()
        connection.close()


def insist(write: Callable[[], object]) -> object:
    """Write through a database restart. Safe to repeat: the token lets an outcome be written once.

    What cannot be written at all is found by the rescuer when the lease is over, as if the worker had died. Raises
    what else the database says.
    """
    for tried in range(TRIES):
        try:
            return write()
        except connections.AWAY as exc:
            logger.warning("writing failed, try %s of %s: %s", tried + 1, TRIES, exc)
            connections.refresh()
            time.sleep(min(0.2 * 2**tried, LONGEST_PAUSE))
    return None
