"""The environment, read once: what `settings` and `messages` are made of, and a record of what was read.

`.env` in the project directory is read when it exists; real environment variables win over it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ

BASE_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Read:
    """A variable as the settings got it."""

    name: str
    value: Any
    source: str


class Recorded(environ.FileAwareEnv):  # type: ignore[misc]  # SECRET_KEY_FILE=/run/secrets/key works like SECRET_KEY=...
    """Remembers each variable that is read, its value, and where that came from: `manage.py config` tells."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: dict[str, Read] = {}
        self.outside = self.inside = frozenset(os.environ)  # before .env is read, which goes into the same place

    def get_value(self, var: str, *args: Any, **options: Any) -> Any:
        value = super().get_value(var, *args, **options)
        self.reads[var] = Read(var, value, self.source(var))
        return value

    def source(self, var: str) -> str:
        for name in (f"{var}_FILE", var):
            if name in os.environ:
                where = "environment" if name in self.outside else ".env"
                return f"{where}, by {name}={os.environ[name]}" if name != var else where
        return "default"

    def from_file(self) -> frozenset[str]:
        """The variables that `.env` set."""
        return self.inside - self.outside

    def all_read(self) -> Iterator[Read]:
        """By name."""
        yield from (self.reads[name] for name in sorted(self.reads))


env = Recorded()
environ.Env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))
env.inside = frozenset(os.environ)

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data")))

# As `make run` decides: manage.py must not write links to another port into mails.
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{env.str('PORT', default='') or 8000}").rstrip("/")
HTTPS = PUBLIC_URL.startswith("https://")


def database(given: dict[str, Any]) -> dict[str, Any]:
    """What a URL says of a database, and how Punctual wants to be connected to it."""
    if given["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE: a transaction that reads before it writes otherwise fails at once with "database is
        # locked", whatever the timeout. WAL: readers never wait for the writer.
        options: dict[str, Any] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;",
        }
        return given | {"OPTIONS": options}
    return given | {
        "CONN_MAX_AGE": env.int("DATABASE_CONN_MAX_AGE", default=600),
        "CONN_HEALTH_CHECKS": True,  # a restarted database costs one reconnect, not a dead worker
        # A transaction that somebody left open must not stop the clock: whoever waits for it gives up and tries again.
        # Nor is a statement to be compiled first: it took 270 ms for the dashboard's, which then needs 40.
        "OPTIONS": {"options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=120s -c jit=off"},
    }
