"""The tasks of the benches: they do nothing, and count that they did."""

import os
from functools import cache
from typing import Any

from celery import shared_task

from jobs.durable import Durable


@cache
def _client(pid: int) -> Any:
    import redis

    return redis.Redis.from_url(os.environ["BENCH_COUNTER"])


@shared_task(name="bench.plain", queue="default", ignore_result=True)
def plain() -> None:
    _client(os.getpid()).incr("done")


@shared_task(base=Durable, name="bench.noop", queue="default", batch_size=200)
def noop() -> None:
    _client(os.getpid()).incr("done")
