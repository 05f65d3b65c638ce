"""Supervisors over dummy children, and ways to find every process that a stack started."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.stack import Stack
from config.stack.ports import Held
from config.stack.supervisor import Process, Supervisor
from tests.stack.live import Live, pointed, started

FOREVER = "import signal; print('up', flush=True); signal.pause()"
MARK = "STACK_TEST_MARK"


def until(condition: Callable[[], object], seconds: float = 300.0) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def up_again(running: Supervisor | Stack, name: str, restarts: int) -> bool:
    return running.restart_count(name) == restarts and running.is_ready(name)


def dummy(name: str, code: str = FOREVER, **options) -> Process:
    """A process that does nothing, for ever."""
    return Process(name, (sys.executable, "-S", "-c", code), **options)


def processes(mark: str) -> dict[int, str]:
    """Pid and command line of all living processes that carry the mark in their environment (Linux)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch) -> None:
    """What the tests themselves run with (make test-postgres) is not the stack's configuration."""
    for name in ("BROKER_URL", "DATABASE_URL", "PUBLIC_URL", "PORT", "FLOWER_PORT", "BROKER_PORT", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mark(monkeypatch) -> str:
    """Put into the environment: all processes that we start carry it, and so do theirs."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    return value


@pytest.fixture
def held_port() -> Iterator[int]:
    """One that nobody else is given during the test, also while its server is down."""
    with Held() as held:
        yield held.ports[0]


class Log(list[tuple[str, str]]):
    """The (name, line) pairs of a log."""

    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))

    def names(self, word: str) -> list[str]:
        """Whose lines contain the word, in order."""
        return [name for name, line in self if word in line]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def supervisor(tmp_path, log) -> Iterator[Supervisor]:
    made = Supervisor(log, cwd=tmp_path, pid_file=tmp_path / "pids.json")
    yield made
    for _ in range(3):
        made.request_stop()
    made.join()


@pytest.fixture(scope="session")
def _everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with started(tmp_path_factory.mktemp("everything"), without={"web"}, copies={"worker": 2}) as made:
        yield made


@pytest.fixture(scope="module")
def running(_everything: Live, django_db_blocker: Any) -> Iterator[Live]:
    """A whole stack with two workers and Flower, the same for all who ask, and this process beside it."""
    with pointed(_everything, django_db_blocker):
        yield _everything
