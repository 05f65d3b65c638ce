"""A real worker with its own database and broker, and this process beside it as the web process would be.

For modules that try many things against one worker. Nobody ticks but the tests, so that nothing takes a second that
could take milliseconds.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from celery import current_app
from django.db import connection, connections
from django.db.utils import ConnectionHandler

from config import environment
from config.stack import Stack
from jobs import dispatcher
from jobs.models import Job
from tests.stack import ready

SECONDS = 300.0  # alone, each thing that is waited for takes one or two


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

    def row(self, handle: Any) -> Any:
        return Job.objects.get(pk=getattr(handle, "id", handle))

    def reach(self, handle: Any, *states: str, seconds: float = SECONDS) -> Job:
        """The row, as soon as it is in one of these states."""

        def there() -> Job | None:
            job = Job.objects.filter(pk=getattr(handle, "id", handle)).first()
            return job if job and job.state in states else None

        job: Job = self.until(there, f"{handle} is {' or '.join(states)}", seconds)
        return job

    def finish(self, handle: Any, seconds: float = SECONDS) -> Any:
        return self.reach(handle, "succeeded", "failed", "cancelled", "expired", seconds=seconds)

    def notes(self) -> list[str]:
        """What the sample tasks noted."""
        file = self.stack.data_dir / "notes"
        return file.read_text().splitlines() if file.exists() else []

    @contextmanager
    def events(self) -> Iterator[list[dict[str, Any]]]:
        """Celery's events, as they come: all from now on, since one of our own has been heard."""
        seen: list[dict[str, Any]] = []
        over = threading.Event()

        def listen() -> None:
            with current_app.connection_for_read() as connection:
                receiver: Any = current_app.events.Receiver(connection, handlers={"*": seen.append})
                with receiver.consumer_context(wakeup=False) as (consuming, _, _):
                    while not over.is_set():
                        with suppress(TimeoutError):
                            consuming.drain_events(timeout=0.1)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            with current_app.events.default_dispatcher() as say:
                self.until(lambda: (say.send("test-begins"), seen)[1], "somebody listens")
            yield seen
        finally:
            over.set()
            thread.join(SECONDS)

    def kill(self, job: Job, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the process that runs the job."""
        os.kill(int(job.worker.rpartition(":")[2]), sig)


@contextmanager
def live(directory: Path, blocker: Any) -> Iterator[Live]:
    """Start the worker, and point this process's Django and Celery at its database and broker."""
    with started(directory, without={"web", "flower", "beat", "clock"}) as made, pointed(made, blocker):
        yield made


@contextmanager
def started(directory: Path, server: str | None = None, **options: Any) -> Iterator[Live]:
    """A stack whose workers know the sample tasks. The options are those of Stack.

    `server`: where its database is (of DATABASE_URL, if none is named); empty for a file.
    """
    env = {"DJANGO_SETTINGS_MODULE": "tests.stack.live_settings", "TZ": "UTC", **options.pop("env", {})}
    server = os.environ.get("DATABASE_URL", "") if server is None else server
    with (
        ready.database(server) as url,
        ready.Ready(directory / "data", env=env, database_url=url, log=directory / "log", **options) as stack,
    ):
        stack.wait_ready()
        yield Live(stack, directory / "log")


@contextmanager
def pointed(made: Live, blocker: Any) -> Iterator[None]:
    """This process beside the stack: its Django and Celery use the stack's database and broker."""
    with blocker.unblock(), django(made.stack.env["DATABASE_URL"]), celery(made.stack.env["BROKER_URL"]):
        yield


@contextmanager
def django(url: str) -> Iterator[None]:
    """Other threads keep the connections they have."""
    tests = connections["default"]
    given = environment.database(environment.env.db_url_config(url))
    connections["default"] = ConnectionHandler({"default": {**tests.settings_dict, **given}})["default"]
    try:
        yield
    finally:
        connection.close()
        connections["default"] = tests


@contextmanager
def celery(broker: str) -> Iterator[None]:
    app: Any = current_app._get_current_object()  # type: ignore[attr-defined]
    os.environ["CELERY_BROKER_URL"] = broker  # Celery lets it go before the settings
    app._after_fork()  # drops the pools of connections
    try:
        yield
    finally:
        del os.environ["CELERY_BROKER_URL"]
        app._after_fork()
