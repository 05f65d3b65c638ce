"""Which processes make up Punctual, how each is started and stopped, and how one sees that it works.

Used by stack.py. The order of the list is the order of starting; stopping goes backwards, so beat
ceases to tick before the workers finish, and the broker goes last.
"""

import http.client
from collections.abc import Mapping
from pathlib import Path
from signal import SIGQUIT, SIGTERM

from config.stack import broker
from config.stack.installation import Installation
from config.stack.supervisor import Process

CELERY = ("celery", "--quiet", "-A", "config")  # quiet: no banner
QUIET = ("--without-mingle", "--without-gossip")  # workers of ours need nothing from each other
# Warm first; then SIGQUIT gives back at once what did not finish. On a thread pool it would repeat finished work.
WORKER_STOP = ((SIGTERM, 20.0), (SIGQUIT, 10.0))
CELERY_PROGRAMS = {
    "worker": ("worker", "-P", "prefork", "-X", "clock", *QUIET),  # all queues but the clock's
    "clock": ("worker", "-P", "solo", "-Q", "clock", *QUIET),
    "beat": ("beat",),
}
FLOWER_COLUMNS = "name,uuid,state,eta,received,started,runtime,retries,worker"  # no arguments: they are masked anyway
NAMES = ("broker", "web", "flower", "worker", "clock", "beat")


def programs(run_dir: Path, made: Installation, copies: Mapping[str, int]) -> list[Process]:
    """All processes but the broker; `run_dir` holds the files by which worker, clock and beat report."""
    found = []
    if "web" not in made.without:
        found.append(_web(made.ports.web, made.host))
    if "flower" not in made.without:
        found.append(_flower(run_dir.parent / "flower.db", made))
    return found + [
        _celery(run_dir, kind, arguments, kind if number == 1 else f"{kind}{number}")
        for kind, arguments in CELERY_PROGRAMS.items()
        for number in range(1, copies.get(kind, 1) + 1)
        if kind not in made.without
    ]


def _web(port: int, host: str) -> Process:
    return Process(
        "web",
        ("gunicorn", "--bind", f"127.0.0.1:{port}", "config.wsgi"),
        ready=lambda pid: answers(port, "/admin/login/", host),
        stop=((SIGTERM, 25.0),),  # gunicorn.conf.py gives requests 20 s
    )


def _flower(db: Path, made: Installation) -> Process:
    options = (
        "--address=127.0.0.1",
        f"--port={made.ports.flower}",
        "--persistent=True",
        f"--db={db}",
        "--max-tasks=5000",
        f"--tasks-columns={FLOWER_COLUMNS}",
        "--logging=error",
    )
    return Process(
        "flower",
        (*CELERY, "flower", *options),
        # The password is no argument: those are for all to see in `ps`.
        env={"FLOWER_BASIC_AUTH": made.flower_auth, "FLOWER_READ_ONLY": made.flower_read_only},
        ready=lambda pid: answers(made.ports.flower, "/healthcheck", "127.0.0.1"),
    )


def _celery(run_dir: Path, kind: str, arguments: tuple[str, ...], name: str) -> Process:
    file = run_dir / name
    node = () if kind == "beat" else ("-n", f"{name}@%h")
    return Process(
        name,
        (*CELERY, *arguments, *node),
        env={"READY_FILE": str(file)},
        ready=lambda pid: reported(file, pid),
        stop=WORKER_STOP if kind == "worker" else ((SIGTERM, 10.0),),
    )


def broker_program(directory: Path, port: int) -> Process:
    return Process(
        "broker",
        broker.command(directory, port),
        env={"LC_ALL": "C"},  # it refuses to start under a locale that the machine does not have
        ready=lambda pid: broker.answers(port),
        stop=((SIGTERM, 10.0),),
    )


def reported(file: Path, pid: int) -> bool:
    """Whether this very process has written its ready file (child.py), not one before it."""
    try:
        return file.read_text() == str(pid)
    except OSError:
        return False


def answers(port: int, path: str, host: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status in (200, 301, 302)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
