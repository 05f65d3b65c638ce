"""An installation with a database of its own, and its commands as processes: in a pipe, or on a pseudo-terminal."""

import codecs
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.database import created

ROOT = Path(__file__).parents[1]
SECONDS = 300.0  # a machine with much else to do takes a minute to migrate


class Installation:
    """Its database is the kind that DATABASE_URL names, for the tests that are run on both."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def run(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """The command as a program calls it."""
        words = (sys.executable, "manage.py", *words)
        env = self.env | more
        return subprocess.run(
            words, cwd=ROOT, env=env, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def lines(self, *words: str) -> list[Any]:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def on_terminal(
        self, *words: str, types: str = "", meanwhile: Callable[["Screen"], None] | None = None, **more: str
    ) -> "Screen":
        """The command as a person calls it, who types this and does that meanwhile."""
        pid, master = pty.fork()
        if pid == 0:  # pragma: no cover  (the other process)
            os.chdir(ROOT)
            os.environ.update(self.env | {"COLUMNS": "200", "LINES": "50", "TERM": "xterm-256color"} | more)
            os.execv(sys.executable, [sys.executable, "manage.py", *words])
        screen = Screen(pid, master)
        os.write(master, types.encode())
        if meanwhile:
            meanwhile(screen)
        screen.wait()
        return screen


class Screen:
    def __init__(self, pid: int, master: int) -> None:
        self.pid, self.master, self.text, self.code = pid, master, "", -1
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end within a letter

    def until(self, text: str, after: int = 0) -> None:
        """Read until it shows, after so many letters."""
        self.until_so(lambda: text in self.text[after:], text)

    def until_so(self, condition: Callable[[], bool], what: str) -> None:
        """Read until it holds of what was read."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline and self._read(), f"{what!r} is not so of {self.text!r}"

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def presses(self, key: str) -> None:
        os.write(self.master, key.encode())

    def wait(self) -> None:
        deadline = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < deadline, self.text
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.master)

    def _read(self) -> bool:
        """Whether there is more to come."""
        if not select.select([self.master], [], [], 0.2)[0]:
            return True
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            return False
        self.text = (self.text + self._decoder.decode(piece)).replace("\r\n", "\n")
        return bool(piece)


@contextmanager
def installed(directory: Path) -> Iterator[Installation]:
    """Migrated, and empty."""
    env = {name: value for name, value in os.environ.items() if name not in ("BROKER_URL", "COLUMNS")}
    env |= {"ENV_FILE": os.devnull, "DATA_DIR": str(directory), "SECRET_KEY": "x7" + "installed" * 8}
    env |= {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with _database(directory) as url:
        made = Installation(env | {"DATABASE_URL": url})
        done = made.run("migrate", "--verbosity", "0")
        assert done.returncode == 0, done.stderr
        yield made


@contextmanager
def _database(directory: Path) -> Iterator[str]:
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        yield f"sqlite:///{directory / 'db.sqlite3'}"
        return
    with created(server, f"punctual_installed_{uuid.uuid4().hex[:8]}") as url:
        yield url
