"""How fast jobs go in and come out, beside plain Celery in the same run.

`python -m bench.jobs [--jobs 20000] [--rounds 1]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL
names a server. Prints jobs per second, the processor time of a job (workers, broker and database together), statements
and messages; the ratios are the evidence, not the absolute figures, and on a machine with other work to do the ratio of
processor times is the steadier one. Workers are real: prefork, two processes, over a Valkey of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import processes
from bench.database import throwaway

PROCESSES = 2
DEADLINE = 300.0
PATIENCE = 120.0  # for a worker that stops
STEP = 50  # counted in steps, so that counting is not what is measured
WORKER = ("-Q", "default", "-I", "bench.tasks", "--without-mingle", "--without-gossip", "--without-heartbeat")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=1)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, valkey(Path(directory)) as (url, broker):
        os.environ |= {"BROKER_URL": url, "BENCH_COUNTER": url, "LOG_LEVEL": "WARNING", "CELERY_EVENTS": "0"}
        with throwaway() as kind:
            print(f"{asked.jobs:,} no-op jobs on {kind}, prefork {PROCESSES}, no events, Valkey as the broker")
            for _ in range(asked.rounds):
                compare(celery(asked.jobs, broker), durable(asked.jobs, broker))


def compare(plain: "Figures", ledger: "Figures") -> None:
    print(f"enqueue  ledger: {ledger.inserts} statements")
    print(f"drain    ledger: {ledger.statements} statements, {ledger.messages} messages; Celery: {plain.messages}")
    for name, a, b in (("enqueue", plain.enqueue, ledger.enqueue), ("drain", plain.drain, ledger.drain)):
        print(f"{name:8} Celery {a:8,.0f} /s   ledger {b:8,.0f} /s   {b / a:5.1f} x")
    if ledger.cost:
        print(
            f"a job    Celery {plain.cost:8,.0f} us   ledger {ledger.cost:8,.0f} us   {plain.cost / ledger.cost:5.1f} x"
        )


@dataclass
class Figures:
    enqueue: float  # jobs per second
    drain: float
    cost: float  # microseconds of processor time for each job drained
    statements: int
    messages: int
    inserts: int = 0


def celery(number: int, broker: int) -> Figures:
    """Plain Celery: one message a job, results ignored."""
    from bench.tasks import plain

    began = time.monotonic()
    for _ in range(number):
        plain.delay()
    published = number / (time.monotonic() - began)
    figures = drained(number, broker)
    return replace(figures, enqueue=published, messages=number)


def durable(number: int, broker: int) -> Figures:
    from django.db import connection
    from django.db.models import Count
    from django.test.utils import CaptureQueriesContext

    from bench.tasks import noop
    from jobs import dispatcher
    from jobs.models import Job, Queue

    Job.objects.all().delete()
    Queue.objects.update_or_create(name="default", defaults={"window": 4_000})
    began = time.monotonic()
    with CaptureQueriesContext(connection) as queries:
        noop.enqueue_many(() for _ in range(number))
    enqueued = number / (time.monotonic() - began)
    figures = drained(number, broker, prepare=lambda: dispatcher.dispatch_due())
    states = dict(Job.objects.values_list("state").annotate(Count("pk")))
    assert states == {"succeeded": number}, states
    return replace(figures, enqueue=enqueued, inserts=len(queries))


def drained(number: int, broker: int, prepare: Callable[[], Any] = lambda: None) -> Figures:
    """From the first to the last job that ran, with workers that were warm before."""
    client = counter()
    client.delete("done", "statements")
    with tempfile.TemporaryFile() as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", str(PROCESSES), *WORKER],
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            pushed = client.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0)
            prepare()
            until(lambda: int(client.get("done") or 0) >= number // 10)
            began, first, spent = time.monotonic(), int(client.get("done") or 0), cost(worker.pid, broker)
            until(lambda: int(client.get("done") or 0) >= number - PROCESSES * STEP)
            seconds, done = time.monotonic() - began, number - first
            spent = cost(worker.pid, broker) - spent
            pushed = client.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0) - pushed
            return Figures(0, done / seconds, spent / done * 1e6, int(client.get("statements") or 0), pushed)
        except SystemExit:
            log.seek(0)
            print(log.read().decode(errors="replace")[-3_000:], file=sys.stderr)
            raise
        finally:
            worker.terminate()
            worker.wait(PATIENCE)


def cost(worker: int, broker: int) -> float:
    """Seconds of processor time so far: of the worker, of the broker, and of those who serve them in PostgreSQL."""
    return processes.seconds([*processes.family(worker), broker, *backends()])


def backends() -> list[int]:
    from django.db import connection

    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [pid for (pid,) in cursor.fetchall()]


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
def valkey(directory: Path) -> Iterator[tuple[str, int]]:
    """A broker of its own: its URL and the id of its process."""
    from config.stack import broker, ports

    (port,) = ports.free()
    process = subprocess.Popen(broker.command(directory, port), stdout=subprocess.DEVNULL)
    try:
        until(lambda: broker.answers(port))
        yield f"redis://127.0.0.1:{port}/0", process.pid
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
