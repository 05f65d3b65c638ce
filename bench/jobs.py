"""How fast jobs go in and come out, beside plain Celery in the same run.

`python -m bench.jobs [--jobs 20000]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL names a
server. Prints jobs per second, statements and messages; the ratios are the evidence, not the absolute figures.
Workers are real: prefork, two processes, over a Valkey of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.database import throwaway

PROCESSES = 2
DEADLINE = 180.0
STEP = 50  # counted in steps, so that counting is not what is measured
WORKER = ("-Q", "default", "-I", "bench.tasks", "--without-mingle", "--without-gossip", "--without-heartbeat")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=20_000)
    number = options.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, valkey(Path(directory)) as url:
        os.environ |= {"BROKER_URL": url, "BENCH_COUNTER": url, "LOG_LEVEL": "WARNING", "CELERY_EVENTS": "0"}
        with throwaway() as kind:
            print(f"{number:,} no-op jobs on {kind}, prefork {PROCESSES}, no events, Valkey as the broker")
            plain = celery(number)
            ledger = durable(number)
            for name in ("enqueue", "drain"):
                ratio = ledger[name] / plain[name]
                print(f"{name:8} Celery {plain[name]:8,.0f} /s   ledger {ledger[name]:8,.0f} /s   {ratio:5.1f} x")


def celery(number: int) -> dict[str, float]:
    """Plain Celery: one message a job, results ignored."""
    from bench.tasks import plain

    began = time.monotonic()
    for _ in range(number):
        plain.delay()
    published = number / (time.monotonic() - began)
    return {"enqueue": published, "drain": drained(number)}


def durable(number: int) -> dict[str, float]:
    from django.db import connection
    from django.db.models import Count
    from django.test.utils import CaptureQueriesContext

    from bench.tasks import noop
    from jobs import dispatcher
    from jobs.models import Job, Queue

    Queue.objects.update_or_create(name="default", defaults={"window": 4_000})
    began = time.monotonic()
    with CaptureQueriesContext(connection) as queries:
        noop.enqueue_many(() for _ in range(number))
    enqueued = number / (time.monotonic() - began)
    print(f"enqueue  {len(queries)} statements for {number:,} jobs")
    rate = drained(number, prepare=lambda: dispatcher.dispatch_due())
    states = dict(Job.objects.values_list("state").annotate(Count("pk")))
    assert states == {"succeeded": number}, states
    return {"enqueue": enqueued, "drain": rate}


def drained(number: int, prepare: Callable[[], Any] = lambda: None) -> float:
    """Jobs per second from the first to the last that ran, with workers that were warm before."""
    client = counter()
    client.delete("done")
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", str(PROCESSES), *WORKER],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        prepare()
        until(lambda: int(client.get("done") or 0) >= number // 10)
        began, first = time.monotonic(), int(client.get("done") or 0)
        until(lambda: int(client.get("done") or 0) >= number - PROCESSES * STEP)
        return (number - first) / (time.monotonic() - began)
    finally:
        worker.terminate()
        worker.wait(30)


def counter() -> Any:
    import redis

    return redis.Redis.from_url(os.environ["BENCH_COUNTER"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {DEADLINE:.0f} s")
        time.sleep(0.005)


@contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """A broker of its own."""
    from config.stack import broker, ports

    (port,) = ports.free()
    process = subprocess.Popen(broker.command(directory, port), stdout=subprocess.DEVNULL)
    try:
        until(lambda: broker.answers(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
