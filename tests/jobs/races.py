"""Real races: the same moment, two connections. For tests with `django_db(transaction=True)`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from django.db import connection, connections

T = TypeVar("T")
PATIENCE = 60  # seconds; only a test that fails waits this long
TRANSACTIONAL = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def need_two_writers() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: no race to run. Set DATABASE_URL to a PostgreSQL to run it.")


def at_once(*calls: Callable[[], T]) -> list[T]:
    """What each call returned; all of them started at the same moment, each on a connection of its own."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        try:
            connection.ensure_connection()
            barrier.wait(PATIENCE)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(run, call) for call in calls]]
