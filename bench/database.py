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
            with _on_postgresql(server):
                yield _ready()
                _close()
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
def _on_postgresql(server: str) -> Iterator[None]:
    import psycopg

    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {NAME}")
        os.environ["DATABASE_URL"] = urlsplit(server)._replace(path=f"/{NAME}").geturl()
        try:
            yield
        finally:
            admin.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
            os.environ["DATABASE_URL"] = server
