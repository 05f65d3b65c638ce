"""Celery's task events where Celery has none to send: for jobs that share a message, that wait, that are cancelled.

Used by the executor, the dispatcher and the announcer, so that Flower shows each job under its own name and id. Events
are a view, not a promise: they carry names and ids and no arguments, they are published in groups over the connection
that the process has anyway, and if the broker does not take them the work goes on without.
"""

import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from celery import current_app
from celery.events.event import get_exchange
from celery.signals import celeryd_init
from celery.utils.time import utcoffset
from kombu import Producer
from kombu.exceptions import OperationalError

from jobs.models import Job

logger = logging.getLogger(__name__)

MASKED = "..."  # what Flower shows as arguments
GROUP = 100  # events a message
KEPT = 10_000  # events that wait for the broker; then the oldest are forgotten
FLOW = 0.5  # seconds that an event waits while its message still runs
QUIET = 10.0  # seconds without another try after the broker did not answer
CONFIRMED = 5.0  # seconds that RabbitMQ has to confirm


class Events:
    """What this process has to tell. Only workers tell, and only where the settings have task events switched on."""

    hostname = ""  # the worker's, as Celery calls it and Flower knows it; pool processes inherit it

    def __init__(self) -> None:
        self._told: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._quiet_until = 0.0
        self._flows_in = 0  # the process whose thread flushes

    @property
    def on(self) -> bool:
        return bool(self.hostname and current_app.conf.worker_send_task_events)

    def tell(self, kind: str, job: Job, **fields: Any) -> None:
        """`kind` is Celery's: sent, received, started, succeeded, retried, failed, revoked. Published by `flush`.

        Without the logical clock of Celery's own: each process has another, so that Flower takes the order of arrival.
        """
        if self.on and getattr(current_app.tasks.get(job.task), "send_events", True):
            about = {"type": f"task-{kind}", "uuid": str(job.pk), "name": job.name, "hostname": self.hostname}
            now = {"timestamp": time.time(), "utcoffset": utcoffset(), "pid": os.getpid()}
            self._told.append(about | now | fields)

    def flush(self) -> None:
        """Publish what was told. What the broker does not take is forgotten."""
        while some := self._taken():
            if time.monotonic() < self._quiet_until:
                continue
            try:
                _publish(some)
            except OperationalError as exc:
                self._quiet_until = time.monotonic() + QUIET
                logger.warning("events lost, Flower misses some tasks: %s", exc)

    def flow(self) -> None:
        """From now on flush by itself, every half second: a job that takes an hour shall be seen to have started."""
        if self._flows_in != os.getpid():  # a forked child inherits neither the thread nor what its parent had to tell
            self._flows_in = os.getpid()
            self._told.clear()
            threading.Thread(target=self._flow, name="jobs-events", daemon=True).start()

    def _flow(self) -> None:
        while True:
            time.sleep(FLOW)
            self.flush()

    def _taken(self) -> list[dict[str, Any]]:
        some: list[dict[str, Any]] = []
        with suppress(IndexError):  # two threads may flush at once
            while len(some) < GROUP:
                some.append(self._told.popleft())
        return some


def _publish(some: list[dict[str, Any]]) -> None:
    """Raises OperationalError, soon, when the broker does not answer."""
    pool: Any = current_app.pool
    with pool.acquire(block=True) as connection:
        try:
            # A channel would connect by itself, and wait much longer for a broker that is down.
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            exchange = get_exchange(connection, name=current_app.conf.event_exchange)
            Producer(connection, auto_declare=False).publish(
                some,
                exchange=exchange.name,
                routing_key="task.multi",
                declare=[exchange],
                serializer=current_app.conf.event_serializer,
                headers={"hostname": some[0]["hostname"]},
                delivery_mode=1,
                retry=False,
                confirm_timeout=CONFIRMED,
            )
        except (*connection.connection_errors, *connection.channel_errors, OSError) as exc:
            connection.collect()  # a broken connection must not go back into the pool
            raise OperationalError(str(exc)) from exc


events = Events()


@celeryd_init.connect
def _begin(sender: str, **_: Any) -> None:
    events.hostname = sender
