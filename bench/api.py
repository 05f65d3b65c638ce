"""Requests a second, and how long the slowest take: create, get, cancel, under the server of production.

    DATABASE_URL=postgres://... python -m bench.api --seconds 8

Two servers at a time on one database, one with a broker that answers and one whose broker is a closed port, asked in
turns of a second, so that what else the machine does falls on both. Every request is a real one over a kept connection.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.database import throwaway

ROOT = Path(__file__).parents[1]
# In a year: there is no worker, and nothing is to fall due meanwhile.
CALL = {"task": "jobs.warm_cache", "data": {"source": "notifications.day", "ttl": 300}, "delay": 31_536_000}
DEAD = "redis://127.0.0.1:1/0"


@dataclass
class Tally:
    """How long each request took, and over how many seconds."""

    took: list[float] = field(default_factory=list)
    wrong: int = 0
    over: float = 0.0

    def told(self) -> str:
        ordered = sorted(self.took)
        at = {share: 1000 * ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99)}
        rate = len(ordered) / self.over
        return f"{rate:7.0f}/s  p50 {at[0.5]:6.1f} ms  p99 {at[0.99]:6.1f} ms  wrong {self.wrong}"


@contextmanager
def server(broker: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    env = os.environ | {
        "BROKER_URL": broker,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "API_RATE_OF_KEY": "100000000",  # counted all the same
        "API_RATE_OF_ADDRESS": "100000000",
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}"]
    command += ["--access-logfile", "/dev/null"]
    process = subprocess.Popen(command, env=env, cwd=ROOT)
    try:
        end = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert process.poll() is None and time.monotonic() < end, "the server does not answer"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def ask(connection: http.client.HTTPConnection, key: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, f"/api/v1/{path}", None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    raw = response.read()
    return response.status, json.loads(raw) if raw else None


def turn(
    port: int, tally: Tally, seconds: float, clients: int, step: Callable[[http.client.HTTPConnection], int]
) -> None:
    """All clients for so long, each with a connection of its own."""
    started = time.perf_counter()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while time.perf_counter() - started < seconds:
            began = time.perf_counter()
            status = step(connection)
            tally.took.append(time.perf_counter() - began)
            tally.wrong += status >= 400
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.over += time.perf_counter() - started


def steps(key: str, jobs: list[str]) -> dict[str, Callable[[http.client.HTTPConnection], int]]:
    def create(connection: http.client.HTTPConnection) -> int:
        status, told = ask(connection, key, "POST", "jobs", CALL)
        if status < 400:
            jobs.append(told["id"])
        return status

    def get(connection: http.client.HTTPConnection) -> int:
        return ask(connection, key, "GET", f"jobs/{jobs[time.perf_counter_ns() % len(jobs)]}")[0]

    def cancel(connection: http.client.HTTPConnection) -> int:
        return ask(connection, key, "DELETE", f"jobs/{jobs.pop()}")[0]

    return {"create": create, "get": get, "cancel": cancel}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8, help="for each server and verb")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--broker", default="redis://127.0.0.1:6379/9")
    said = parser.parse_args()
    with throwaway() as vendor, ExitStack() as servers:
        from jobs.api import keys

        key = keys.issue("bench", ["jobs:enqueue", "jobs:read", "jobs:cancel"])[1]
        ports = {
            "broker up": servers.enter_context(server(said.broker)),
            "broker dead": servers.enter_context(server(DEAD)),
        }
        print(f"{vendor}, {said.clients} clients, gunicorn as configured, each figure over {said.seconds} s")
        made: dict[str, list[str]] = {name: [] for name in ports}
        for verb in ("create", "get", "cancel"):
            tallies = {name: Tally() for name in ports}
            for _ in range(said.seconds):
                for name, port in ports.items():
                    turn(port, tallies[name], 1.0, said.clients, steps(key, made[name])[verb])
            for name, tally in tallies.items():
                print(f"{verb:8} {name:12} {tally.told()}", flush=True)


if __name__ == "__main__":
    main()
