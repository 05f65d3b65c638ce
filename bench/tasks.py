"""The tasks of the benches: they do nothing, and count that they did, and what the ledger asks of the database."""

import os
from functools import cache
from typing import Any

from celery import shared_task
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from bench.jobs import STEP
from jobs.durable import Durable

_done = _asked = 0


@cache
def _client(pid: int) -> Any:
    import redis

    return redis.Redis.from_url(os.environ["BENCH_COUNTER"])


def _count() -> None:
    global _done, _asked
    _done += 1
    if _done % STEP == 0:
        _client(os.getpid()).incrby("done", STEP)
        if _asked:
            _client(os.getpid()).incrby("statements", _asked)
            _asked = 0


def _statement(execute: Any, *args: Any) -> Any:
    global _asked
    _asked += 1
    return execute(*args)


@receiver(connection_created)
def _watch(connection: Any, **_: Any) -> None:
    if "BENCH_COUNTER" in os.environ and _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


@shared_task(name="bench.plain", queue="default", ignore_result=True)
def plain() -> None:
    _count()


@shared_task(base=Durable, name="bench.noop", queue="default", batch_size=500)
def noop() -> None:
    _count()


@shared_task(base=Durable, name="bench.moved", queue="default")
def moved(invoice: int, text: str) -> None:
    _count()
