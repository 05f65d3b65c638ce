"""A million jobs that wait for their time: what they cost whoever looks for those that are due, and in memory.

`python -m bench.million [--jobs 1000000]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL names a
server. First with a thousand waiting, then with a million: the time to dispatch 500 due jobs and the pages that it
reads, a tick with nothing due, a look for lost work; then everything runs (worker, clock, beat, broker) until 500 due
jobs are done, and says how much memory it has.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import processes
from bench.database import throwaway
from bench.jobs import until, valkey

DUE = 500
ROUNDS = 9
REST = 15.0  # seconds that everything runs on, after its work
CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "config")
PROGRAMS = {
    "worker": ("worker", "-c", "2", "-Q", "default", "-I", "bench.tasks", "--without-mingle", "--without-gossip"),
    "clock": ("worker", "-P", "solo", "-Q", "clock", "-I", "bench.tasks", "--without-mingle", "--without-gossip"),
    "beat": ("beat",),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=1_000_000)
    number = options.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, valkey(Path(directory)) as (url, broker):
        os.environ |= {"BROKER_URL": url, "BENCH_COUNTER": url, "LOG_LEVEL": "WARNING"}
        with throwaway() as kind:
            import bench.tasks  # noqa: F401  (the dispatcher knows its own tasks only)
            from bench import rows
            from jobs.models import Job

            print(f"{DUE} due jobs among those that wait for later, on {kind}; the median of {ROUNDS}")
            found: list[dict[str, str]] = []
            for waiting in (1_000, number):
                template = Job(task="bench.noop", queue="default", tenant="")
                rows.copies(template, waiting - len(found) * 1_000, seconds="86400 + i %% 2592000")
                rows.analyze()
                found.append(looked(waiting) | ran(broker))
            for name, few in found[0].items():
                print(f"{name:34} {few:>12} {found[1][name]:>12}")


def looked(waiting: int) -> dict[str, str]:
    """What it takes to find what is due, without sending anything."""
    from django.db import transaction

    from jobs import ledger, pauses, queues, registry, rescuer, windows
    from jobs.models import Job

    def dispatch() -> None:
        assert len(windows.fill("default", registry.names())) == DUE

    assert pauses.active().queues == frozenset()
    queues.due()
    told = {"waiting": f"{waiting:,}", "a tick with nothing due": timed(queues.due)}
    told["a look for what was lost"] = timed(rescuer.rescue_lost)
    made = due_now()
    told[f"dispatch of {DUE}"] = timed(dispatch, lambda: ledger.release(Job.objects.filter(pk__in=made)))
    with transaction.atomic():
        told["pages read for it, of 8 kB"] = pages(dispatch)
        transaction.set_rollback(True)
    return told


def due_now() -> list[Any]:
    from bench.tasks import noop

    return noop.enqueue_many([() for _ in range(DUE)], countdown=-1)


def timed(act: Callable[[], Any], undo: Callable[[], Any] = lambda: None) -> str:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
        undo()
    return f"{statistics.median(took) * 1e3:,.1f} ms"


def pages(act: Callable[[], Any]) -> str:
    """Pages of the table of jobs and its indexes that are looked at. PostgreSQL counts them."""
    from bench.plans import explained

    with explained() as plans:
        act()
    return f"{sum(plan.pages for plan in plans):,}" if any(plan.pages for plan in plans) else "-"


def ran(broker: int) -> dict[str, str]:
    """Everything runs until the due jobs are done, and a while longer. Its memory then."""
    from jobs.models import Job

    unfinished = Job.objects.filter(task="bench.noop", run_at__lt=time_now()).unfinished()
    with running() as pids:
        began = time.monotonic()
        until(lambda: not unfinished.exists())
        seconds = time.monotonic() - began
        time.sleep(REST)
        told = {f"{DUE} due jobs are done after": f"{seconds:.1f} s"}
        for name, pid in [*pids.items(), ("broker", broker)]:
            told[f"memory of {name}"] = f"{processes.memory(processes.family(pid)) / 1e6:,.1f} MB"
        return told


def time_now() -> Any:
    from django.utils import timezone

    return timezone.now() + timedelta(minutes=1)


@contextmanager
def running() -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        pids = {}
        for name, arguments in PROGRAMS.items():
            program = subprocess.Popen([*CELERY, *arguments, *(() if name == "beat" else ("-n", f"{name}@%h"))])
            stack.callback(program.wait, 120)
            stack.callback(program.terminate)
            pids[name] = program.pid
        yield pids


if __name__ == "__main__":
    main()
