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
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from notifications import rendering
from notifications.channels import CHANNELS, Channel
from notifications.channels.base import Receipt

PATIENCE = 60  # seconds; only a test that fails waits this long
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


def through_the_middle(row: QuerySet[Any], first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
    """Both answers, where both want many rows and find `row`, one in the middle of them, locked until both wait.

    If one comes from the beginning and the other from the end, they hold each other's rows by then: a deadlock. The
    first goes by the index and the second through the table, so whoever does not sort locks in another order.
    """
    with transaction.atomic():
        assert list(row.select_for_update())
        by_the_index = _planned(first, "enable_seqscan", "enable_bitmapscan")
        through_the_table = _planned(second, "enable_indexscan", "enable_bitmapscan", "enable_indexonlyscan")
        began = [elsewhere(by_the_index), elsewhere(through_the_table)]
        futures = []
        for each in began:
            future, process = each.__enter__()
            until_it_waits(future, process)
            futures.append(future)
    answers = [future.exception(PATIENCE) or future.result() for future in futures]
    for each in began:
        with suppress(Exception):  # it is among the answers
            each.__exit__(None, None, None)
    return answers[0], answers[1]


def _planned(act: Callable[[], Any], *off: str) -> Callable[[], Any]:
    """PostgreSQL goes about the same statement in another way."""

    def run() -> Any:
        with connection.cursor() as cursor:
            for name in off:
                cursor.execute(f"SET {name} = off")
        return act()

    return run


def until_it_waits(future: "Future[Any]", process: int) -> None:
    """Returns as soon as that connection waits for a lock, or its work is done."""
    end = time.monotonic() + PATIENCE
    while not future.done():
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", [process])
            if cursor.fetchone()[0]:
                return
        assert time.monotonic() < end, "it neither waits nor comes to an end"


class Held:
    """Whoever calls `name` of `place` waits there until the test lets him `go_on`; the first time only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._real = getattr(place, name)
        monkeypatch.setattr(place, name, self._call)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        if not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(PATIENCE)
        return self._real(*args, **kwargs)

    @contextmanager
    def while_there(self, act: Callable[[], Any], *, first: "Held | None" = None) -> Iterator["Future[Any]"]:
        """`act` runs elsewhere; the block runs while it is held (at `first`, if given); then it goes on to its end."""
        with elsewhere(act) as (future, _):
            try:
                assert (first or self).reached.wait(PATIENCE), "it never came there"
                yield future
            finally:
                (first or self).go_on.set()
                self.go_on.set()


class HeldRendering(Held):
    """Whoever renders a message waits there, with the fence as the next step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch, rendering, "render")


class HeldProvider(Held):
    """A provider in whose hands the first message stays; it answers as `answer` says, or accepts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        self.answer: Exception | None = None
        super().__init__(monkeypatch, self, "take")
        monkeypatch.setitem(CHANNELS, "email", Channel("email", self._call, "hold", lambda message: ""))

    def take(self, message: Any, *, idempotency_key: str) -> Receipt:
        if self.answer:
            raise self.answer
        self.sent.append(idempotency_key)
        return Receipt("accepted")
