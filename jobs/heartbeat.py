"""The heartbeat of a worker process: keeps the leases of the jobs it works on.

Used by the executor. One UPDATE every few seconds for all that the process holds, on a thread and a database
connection of its own, so that a long job keeps its lease without doing anything for it.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import Error, connection

from jobs import connections, holding
from jobs.models import Job

logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=5)  # a quarter of the lease: three beats may fail


def worker_name(pid: int | None = None) -> str:
    """This process, or another of this machine, as `Job.worker` shows it."""
    return f"{socket.gethostname()}:{pid or os.getpid()}"


class Heartbeat:
    def __init__(self) -> None:
        self._held: set[uuid.UUID] = set()
        self._flagged: set[uuid.UUID] = set()
        self._pid = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, jobs: list[Job]) -> Iterator[None]:
        """Keep the leases of `jobs` for as long as the block runs."""
        if self._pid != os.getpid():  # a forked child inherits the sets, but not the thread
            self._pid, self._held, self._flagged, self._thread = os.getpid(), set(), set(), None
        mine = {job.pk for job in jobs}
        self._held |= mine
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="jobs-heartbeat", daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            self._held -= mine
            self._flagged -= mine

    def asked_to_stop(self, job: Job) -> bool:
        """Whether a cancel was asked for while this process held the job, as of the last beat."""
        return job.pk in self._flagged

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(INTERVAL.total_seconds()):
            held = list(self._held)
            if held:
                self._beat(held)

    def _beat(self, held: list[uuid.UUID]) -> None:
        try:
            connections.refresh()
            kept = holding.beat(held, worker_name())
            self._flagged = holding.asked_to_stop(held)
        except Error as exc:  # the next beat is 5 s away and the lease lasts 20: say so and go on
            logger.warning("heartbeat failed held=%s error=%s", len(held), exc)
            connection.close()
            return
        if kept < len(held):  # finished meanwhile, or taken away: its outcome will be refused by the token
            logger.info("heartbeat held=%s kept=%s", len(held), kept)


heartbeat = Heartbeat()
