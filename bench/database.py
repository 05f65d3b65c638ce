"""A database of its own for a measurement, made before Django starts and dropped after it.

Used by the benches as `with throwaway(): ...`. Promise: the database that the application uses is never touched:
SQLite in a temporary directory, or one named after this process on the PostgreSQL server that DATABASE_URL names.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

NAME = f"punctual_bench_{os.getpid()}"  # several may measure at a time


@contextmanager
def throwaway() -> Iterator[str]:
    """Configures Django on an empty, migrated database. Yields the name of its kind. Call it before other imports."""
    server = os.environ.get("DATABASE_URL", "")
    with tempfile.TemporaryDirectory(prefix="punctual-bench-") as directory:
        os.environ.setdefault("SECRET_KEY", "bench-only-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 2)
        os.environ |= {"ENV_FILE": os.devnull, "DATA_DIR": directory, "DJANGO_SETTINGS_MODULE": "config.settings"}
        if server.startswith("postgres"):
            with created(server, NAME) as url:
                os.environ["DATABASE_URL"] = url
                try:
                    yield _ready()
                    _close()
                finally:
                    os.environ["DATABASE_URL"] = server
        else:
            os.environ["DATABASE_URL"] = f"sqlite:///{directory}/bench.sqlite3"
            yield _ready()
            _close()


def _ready() -> str:
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    return connection.vendor


def _close() -> None:
    from django.db import connection

    connection.close()


@contextmanager
def created(server: str, name: str, *, like: str = "template1") -> Iterator[str]:
    """A copy of that database (empty, if none is named) on the PostgreSQL server, dropped at its end. Its URL."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
