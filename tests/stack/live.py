"""A real worker with its own database and broker, and this process beside it as the web process would be.

For modules that try many things against one worker. Nobody ticks but the tests, so that nothing takes a second that
could take milliseconds.
"""

import os
import signal
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from celery import current_app
from django.db import ConnectionHandler, connection, connections

from config.stack import Stack
from jobs import dispatcher
from jobs.models import Job

SECONDS = 15.0


class Live:
    def __init__(self, stack: Stack, log: Path) -> None:
        self.stack, self.log = stack, log

    def until(self, condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """Tick until the condition holds, and return what it says."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            dispatcher.dispatch_due()
            time.sleep(0.02)
        return found

    def row(self, handle: Any) -> Job:
        return Job.objects.get(pk=getattr(handle, "id", handle))

    def reach(self, handle: Any, *states: str, seconds: float = SECONDS) -> Job:
        """The row, as soon as it is in one of these states."""

        def there() -> Job | None:
            job = Job.objects.filter(pk=getattr(handle, "id", handle)).first()
            return job if job and job.state in states else None

        job: Job = self.until(there, f"{handle} is {' or '.join(states)}", seconds)
        return job

    def finish(self, handle: Any, seconds: float = SECONDS) -> Job:
        return self.reach(handle, "succeeded", "failed", "cancelled", "expired", seconds=seconds)

    def kill(self, job: Job, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the process that runs the job."""
        os.kill(int(job.worker.rpartition(":")[2]), sig)


@contextmanager
def live(
    directory: Path, blocker: Any, *, without: Collection[str] = ("web", "flower", "beat", "clock"), **options: Any
) -> Iterator[Live]:
    """Start the worker, and point this process's Django and Celery at its database and broker."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.stack.live_settings", "TZ": "UTC"}
    with _database() as url:
        stack = Stack(
            directory / "data",
            env=env,
            without=without,
            database_url=url,
            log=directory / "log",
            **options,
        )
        with blocker.unblock(), stack:
            stack.wait_ready()
            name = url.rpartition("/")[2] if url else directory / "data" / "punctual.sqlite3"
            with _django(name), _celery(stack.env["BROKER_URL"]):
                yield Live(stack, directory / "log")


@contextmanager
def _database() -> Iterator[str]:
    """One of its own on the server of DATABASE_URL; empty for a file."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        yield ""
        return
    name = f"punctual_live_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"{server.rpartition('/')[0]}/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _django(name: object) -> Iterator[None]:
    tests = connections["default"]
    connections["default"] = ConnectionHandler({"default": {**tests.settings_dict, "NAME": name}})["default"]
    try:
        yield
    finally:
        connection.close()
        connections["default"] = tests


@contextmanager
def _celery(broker: str) -> Iterator[None]:
    app: Any = current_app._get_current_object()  # type: ignore[attr-defined]
    os.environ["CELERY_BROKER_URL"] = broker  # Celery lets it go before the settings
    app._after_fork()  # drops the pools of connections
    try:
        yield
    finally:
        del os.environ["CELERY_BROKER_URL"]
        app._after_fork()
