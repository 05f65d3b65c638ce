"""Stacks over a copy of a database that is migrated already: `prepare` takes several seconds, a copy none.

The originals, one for each kind of database, are made by whoever needs one first, also of processes that run tests
side by side; whoever runs the tests removes them at the end (`begin` and `forget`, called by tests/conftest.py).
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from bench.database import created
from config.stack import BASE_DIR, Stack
from config.stack.installation import Installation, closed_off

PLACE = "PUNCTUAL_READY"  # in the environment: the directory of the originals, the same for all processes


def begin() -> None:
    os.environ[PLACE] = tempfile.mkdtemp(prefix="punctual-ready-")


def forget() -> None:
    place = Path(os.environ.pop(PLACE))
    for file in place.glob("punctual_ready_*"):  # each holds the URL of its server
        with psycopg.connect(file.read_text(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {file.name}")
    shutil.rmtree(place)


class Ready(Stack):
    """A stack whose database is a copy of the original; and at the end of a test nobody is asked to finish something.

    tests/stack/test_run.py has the stacks that prepare a database of their own, and those that are stopped in order.
    """

    def _prepare(self, made: Installation) -> None:
        url = made.env["DATABASE_URL"]
        if url.startswith("sqlite") and not Path(urlsplit(url).path).exists():  # else it is that of a stack before
            shutil.copyfile(_original(""), urlsplit(url).path)
        (self.data_dir / "media").mkdir(mode=0o700, exist_ok=True)
        if "web" not in made.without:  # it has static files too
            super()._prepare(made)

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        for _ in range(3):
            self.request_stop()
        self.stop()


@contextmanager
def database(server: str) -> Iterator[str]:
    """A copy of the original on the server, for one stack. Yields its URL; for SQLite the stack has its own."""
    if not server.startswith("postgres"):
        yield ""
        return
    with created(server, f"punctual_live_{uuid.uuid4().hex[:8]}", like=_original(server)) as url:
        yield url


def _original(server: str) -> str:
    """The path of the file, or the name of the database."""
    place = Path(os.environ[PLACE])
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not server:
            file = place / "punctual.sqlite3"
            if not file.exists():
                _prepared(f"sqlite:///{place / 'new.sqlite3'}", place)
                (place / "new.sqlite3").rename(file)
            return str(file)
        name = f"punctual_ready_{place.name.rpartition('-')[2].lower()}"
        if not (place / name).exists():
            with psycopg.connect(server, autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {name}")
            _prepared(urlsplit(server)._replace(path=f"/{name}").geturl(), place)
            (place / name).write_text(server)
        return name


def _prepared(url: str, place: Path) -> None:
    made = closed_off(place, {"DATABASE_URL": url, "BROKER_URL": "memory://"}, set())
    assert made.ports.held
    made.ports.held.close()  # nobody listens
    env = made.env
    words = [sys.executable, "manage.py", "prepare", "--no-static"]
    done = subprocess.run(words, env=os.environ | env, cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
