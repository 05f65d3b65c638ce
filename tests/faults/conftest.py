"""A whole Punctual with a real mail server, on SQLite and on PostgreSQL, for tests that break a part of it."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller

from bench.database import created
from config.stack import Stack
from config.stack.ports import free

ROOT = Path(__file__).parents[2]
POSTGRES = "postgres://postgres@127.0.0.1:5432"


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
    def __init__(self, stack: Stack, mailbox: Mailbox) -> None:
        self.stack, self.mailbox = stack, mailbox
        self.log = stack.data_dir.parent / "log"

    def ask(self, name: str, *values: object) -> Any:
        """What a function of scene.py answers."""
        return json.loads(self._run("-m", "tests.faults.scene", name, *map(json.dumps, values)).splitlines()[-1])

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
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == self.stack.pid(name) and state != "Z":
                    found.add(int(stat.parent.name))
        return found

    def manage(self, *words: str) -> str:
        return self._run("manage.py", *words)

    def _run(self, *words: str) -> str:
        answer = subprocess.run(
            [sys.executable, *words],
            env=os.environ | self.stack.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

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


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for a condition, at most so long."""
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
    with created(f"{POSTGRES}/postgres", f"punctual_fault_{uuid.uuid4().hex[:8]}") as url:
        yield url


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    mailbox, (port,) = Mailbox(), free()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


@pytest.fixture
def make_scene(database: str, mailbox: tuple[Mailbox, int], tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    stacks: list[Stack] = []

    def make(**options: Any) -> Scene:
        env = {"EMAIL_URL": f"smtp://127.0.0.1:{mailbox[1]}"} | options.pop("env", {})
        stack = Stack(
            tmp_path / "data",
            env=env,
            without={"web", "flower"},
            database_url=database,
            log=tmp_path / "log",
            **options,
        )
        stacks.append(stack)
        stack.start()
        stack.wait_ready()
        return Scene(stack, mailbox[0])

    yield make
    for stack in stacks:
        stack.stop()
    if (tmp_path / "log").exists():
        print((tmp_path / "log").read_text()[-20_000:])  # pytest shows it when the test failed
