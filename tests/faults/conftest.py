"""A whole Punctual with a real mail server, on SQLite and on PostgreSQL, for tests that break a part of it."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext, redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from django.core.management import call_command

from config.stack import Stack
from config.stack.ports import Held
from jobs import dispatcher, rescuer, ticks
from tests.faults import scene
from tests.stack import ready
from tests.stack.live import pointed

ROOT = Path(__file__).parents[2]
POSTGRES = "postgres://postgres@127.0.0.1:5432"
PATIENCE = 300.0  # seconds; alone each thing that is waited for takes a few
TICK = 0.3
NO_CLOCK = {"beat", "clock"}  # for tests that are the clock themselves, by `scene.until`


class Mailbox:
    """What really arrived: the Message-ID's first half (the delivery's id) and the recipient of each mail."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        head = envelope.content.decode("utf-8", "replace").partition("\r\n\r\n")[0]
        key = next(line for line in head.splitlines() if line.lower().startswith("message-id:"))
        self.mails.append((key.partition("<")[2].partition("@")[0], envelope.rcpt_tos[0]))
        return "250 OK"


class Scene:
    """`here` points this process at the stack's database and broker; no need where it is already."""

    def __init__(
        self, stack: Stack, mailbox: Mailbox, here: Callable[["Scene"], AbstractContextManager[None]] | None = None
    ) -> None:
        self.stack, self.mailbox = stack, mailbox
        self._here = partial(here, self) if here else nullcontext
        self.log = stack.data_dir.parent / "log"

    def ask(self, name: str, *values: Any) -> Any:
        """What a function of scene.py answers, on the stack's database and broker."""
        with self._here():
            return getattr(scene, name)(*values)

    def ask_apart(self, name: str, *values: Any) -> Any:
        """The same in a process with the stack's whole environment, which takes seconds to start."""
        words = [sys.executable, "-m", "tests.faults.scene", name, *map(json.dumps, values)]
        env = os.environ | self.stack.env
        done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def select(self, sql: str) -> list[Any]:
        """Rows, without the seconds that a process of its own takes to start."""
        url = self.stack.env["DATABASE_URL"]
        if url.startswith("sqlite:///"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as database:
                return database.execute(sql).fetchall()
        with psycopg.connect(url) as connection:
            return connection.execute(sql).fetchall()

    def children(self, name: str) -> set[int]:
        """The processes that a worker's main process has (Linux)."""
        found, main = set(), self.stack.pid(name)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == main and state != "Z":
                    found.add(int(stat.parent.name))
        return found

    def manage(self, *words: str) -> str:
        """What the command prints."""
        with self._here(), redirect_stdout(StringIO()) as said:
            call_command(*words)
        return said.getvalue()

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """For a stack without beat and clock: be the clock, until the condition holds."""
        ticked = 0.0

        def tick() -> Any:
            nonlocal ticked
            if time.monotonic() - ticked >= TICK:
                with self._here():
                    dispatcher.dispatch_due(by=ticks.CLOCK)
                    rescuer.rescue_lost()
                ticked = time.monotonic()
            return condition()

        return until(tick, what)

    def arrived(self, many: int) -> bool:
        return len(self.mailbox.mails) >= many

    def open_deliveries(self) -> int:
        return sum(state in ("planned", "sending") for _, _, state, _ in self.ask("report"))

    def verdict(self) -> tuple[list[Any], list[Any], list[Any]]:
        """(lost, duplicated, in doubt): the ledger's story compared with the mail server's."""
        mails = Counter(self.mailbox.mails)
        rows = self.ask("report")
        doubts = [row for row in rows if row[2] == "in_doubt"]
        lost = [row for row in rows if row not in doubts and (row[2] != "sent" or mails[row[0], row[1]] == 0)]
        duplicated = [mail for mail, count in mails.items() if count > 1]
        strangers = [mail for mail in mails if mail[0] not in {row[0] for row in rows}]
        return lost, duplicated + strangers, doubts


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for a condition, at most so long, and return what it says."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, need_server: Callable[[str], None]) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    need_server("postgres")
    with ready.database(f"{POSTGRES}/postgres") as url:
        yield url


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    with Held() as held:
        (port,) = held.ports
        controller = Controller(mailbox, hostname="127.0.0.1", port=port, ready_timeout=PATIENCE)
        controller.start()
        yield mailbox, port
        controller.stop()


@pytest.fixture
def make_scene(
    database: str, mailbox: tuple[Mailbox, int], tmp_path: Path, django_db_blocker: Any
) -> Iterator[Callable[..., Scene]]:
    """`make_scene(without={"clock"})`: the options are those of Stack; web and Flower are never there."""
    stacks: list[ready.Ready] = []

    def make(**options: Any) -> Scene:
        stack = ready.Ready(
            tmp_path / "data",
            env={"EMAIL_URL": f"smtp://127.0.0.1:{mailbox[1]}"} | options.pop("env", {}),
            without={"web", "flower"} | options.pop("without", set()),
            database_url=database,
            log=tmp_path / "log",
            **options,
        )
        stacks.append(stack)
        stack.start()
        stack.wait_ready()
        return Scene(stack, mailbox[0], partial(pointed, blocker=django_db_blocker))

    yield make
    for stack in stacks:
        stack.end()
    if (tmp_path / "log").exists():
        print((tmp_path / "log").read_text()[-20_000:])  # pytest shows it when the test failed
