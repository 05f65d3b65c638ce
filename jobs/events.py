"""Celery's task events for jobs that share a message, so that Flower shows each under its own name and id.

Used by the executor and the dispatcher. For a message of one job Celery sends the events itself. Events are a view,
not a promise: if the broker does not take them, the work goes on.
"""

import logging
import os
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from jobs.models import Job

logger = logging.getLogger(__name__)


class Events:
    """The event stream of one process. Sends nothing where the settings have task events switched off."""

    def __init__(self) -> None:
        self._pid = 0
        self._dispatcher: Any = None

    def send(self, kind: str, job: Job, hostname: str, **fields: Any) -> None:
        """`kind` is Celery's: task-received, task-started, task-succeeded, task-retried, task-failed, task-revoked."""
        if dispatcher := self._open(hostname):
            self._try(dispatcher.send, f"task-{kind}", uuid=str(job.pk), name=job.name, **fields)

    def flush(self) -> None:
        """Send what is buffered: events travel in groups."""
        if self._dispatcher and self._pid == os.getpid():
            self._try(self._dispatcher.flush, errors=False)

    def _open(self, hostname: str) -> Any:
        if not current_app.conf.worker_send_task_events:
            return None
        if self._pid != os.getpid():  # a connection must not be shared with the process that forked us
            self._pid = os.getpid()
            self._dispatcher = current_app.events.Dispatcher(
                current_app.connection_for_write(), hostname=hostname, buffer_group=["task"], buffer_limit=100
            )
        return self._dispatcher

    def _try(self, call: Any, *args: Any, **fields: Any) -> None:
        lost: Any = (OperationalError, OSError, *current_app.connection_for_write().connection_errors)
        try:
            call(*args, **fields)
        except lost as exc:
            logger.warning("events lost, Flower misses some tasks: %s", exc)
            self._pid = 0  # a new connection next time


events = Events()
