"""Two connections to one PostgreSQL, in the order a test wants: no luck, no sleeping.

`race` lets the first of two write without committing, starts the second on a connection of its own, and commits the
first only when the second waits for it or is through. What the second does then shows whether its guard is looked at
again after the wait.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from notifications import rendering
from notifications.channels import CHANNELS, Channel
from notifications.channels.base import Receipt

PATIENCE = 10  # seconds; only a test that fails waits this long
needs_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="two transactions at once need PostgreSQL: SQLite has one writer (set DATABASE_URL)",
)


@contextmanager
def elsewhere(act: Callable[[], Any]) -> Iterator[tuple["Future[Any]", int]]:
    """`act` runs on a connection of its own, meanwhile. Yields its future and that connection's process id."""
    started: queue.Queue[int] = queue.Queue()

    def run() -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{PATIENCE}s'")
                cursor.execute("SELECT pg_backend_pid()")
                started.put(cursor.fetchone()[0])
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        yield future, started.get(timeout=PATIENCE)
        future.result(PATIENCE)


def race(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    """Both answers, where `second` began after `first` had written and before it was committed."""
    with transaction.atomic():
        answer = first()
        began = elsewhere(second)
        future, process = began.__enter__()
        until_it_waits(future, process)
    began.__exit__(None, None, None)
    return answer, future.result(PATIENCE)


def until_it_waits(future: "Future[Any]", process: int) -> None:
    """Returns as soon as that connection waits for a lock, or its work is done."""
    end = time.monotonic() + PATIENCE
    while not future.done():
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [process])
            if cursor.fetchone()[0]:
                return
        assert time.monotonic() < end, "it neither waits nor comes to an end"


class HeldRendering:
    """Whoever renders a message waits there, with the fence as the next step, until the test lets it `go_on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on, self.render = threading.Event(), threading.Event(), rendering.render
        monkeypatch.setattr(rendering, "render", self.held)

    def held(self, delivery: Any, **facts: Any) -> Any:
        message = self.render(delivery, **facts)
        self.reached.set()
        assert self.go_on.wait(PATIENCE)
        return message


class HeldProvider:
    """A provider in whose hands a message stays until the test lets it `answer`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called, self.answer = threading.Event(), threading.Event()
        self.sent: list[str] = []
        monkeypatch.setitem(CHANNELS, "email", Channel("email", self.send, "hold", lambda message: ""))

    def send(self, message: Any, *, idempotency_key: str) -> Receipt:
        self.called.set()
        assert self.answer.wait(PATIENCE)
        self.sent.append(idempotency_key)
        return Receipt("accepted")
