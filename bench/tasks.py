"""The tasks of the benches: they do nothing, and count that they did."""

import os
from functools import cache
from typing import Any

from celery import shared_task

from bench.jobs import STEP
from jobs.durable import Durable

_done = 0


@cache
def _client(pid: int) -> Any:
    import redis

    return redis.Redis.from_url(os.environ["BENCH_COUNTER"])


def _count() -> None:
    global _done
    _done += 1
    if _done % STEP == 0:
        _client(os.getpid()).incrby("done", STEP)


@shared_task(name="bench.plain", queue="default", ignore_result=True)
def plain() -> None:
    _count()


@shared_task(base=Durable, name="bench.noop", queue="default", batch_size=200)
def noop() -> None:
    _count()
