"""A real pool of two processes, one of which was just handed a job and has not yet been heard of: then one must go.

Run as a process of its own: `python -m tests.jobs.handing FILE`. The job writes into the file when it begins and when
it ends. Prints what the pool made of it.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from billiard import forking_enable
from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import Hub, set_event_loop
from kombu.asynchronous.semaphore import LaxBoundedSemaphore

SECONDS = 60.0


def job(file: Path) -> str:
    note(file, "began")
    time.sleep(1)
    note(file, "ended")
    return "done"


def note(file: Path, word: str) -> None:
    with file.open("a") as open_file:
        open_file.write(f"{word}\n")


def main(file: Path) -> dict[str, Any]:
    from jobs import scaler

    hub, outcome = Hub(), list[str]()
    set_event_loop(hub)
    options: dict[str, Any] = {"threads": False, "putlocks": False, "sched_strategy": "fair"}
    pool: Any = AsynPool(2, semaphore=LaxBoundedSemaphore(2), **options)
    pool.register_with_event_loop(hub)
    loop = hub.create_loop()

    def turn(until: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not until():
            assert time.monotonic() < deadline, f"not within {SECONDS:.0f} s"
            next(loop)

    turn(lambda: len(pool._all_inqueues) == 2)
    result = pool.apply_async(
        job,
        (file,),
        callback=outcome.append,
        error_callback=lambda *error, **_: outcome.append(f"lost: {error[0]}"),
    )
    turn(lambda: result._write_to and not pool._active_writes)
    while not file.exists():  # it has begun; nobody has read that yet
        time.sleep(0.01)
    assert not result._accepted
    pool._busy_workers.clear()  # as after a lost broker: nothing tells this process from the idle one
    pool._pool.sort(key=lambda process: process is not result._write_to)
    retired = scaler._retire(pool, 5)
    turn(lambda: outcome and len(pool._pool) == 1)
    pool.terminate()
    return {"outcome": outcome, "retired": retired, "left": pool._processes, "job": file.read_text().split()}


if __name__ == "__main__":
    forking_enable(True)
    django.setup()
    print(json.dumps(main(Path(sys.argv[1]))))
