"""Refuses to start on wrong settings or on a database that lacks migrations.

Called by config/wsgi.py, and by config/celery.py for worker and beat: gunicorn runs no system checks, and
Celery runs them and ignores the answer. A refused process writes one line for each reason and exits
with 1, without a traceback: the line says what to set.
"""

import sys
import traceback

import django
from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

NAMED_MIGRATIONS = 3

SETTINGS = ("settings.py", "environment.py", "messages.py")  # of config


def refuse_wrong_start() -> None:
    """Raises SystemExit(1), which Celery's signals let through; returns when all is well."""
    _refuse(_unreadable_settings() or _wrong_settings() or _wrong_database())


def refuse_unreadable_settings(**_: object) -> None:
    """The same for what is already wrong when the environment is read: WORKER_CONCURRENCY=two."""
    _refuse(_unreadable_settings())


def _refuse(reasons: list[str]) -> None:
    if reasons:
        sys.stderr.write("".join(f"{reason}\n" for reason in reasons))
        sys.stderr.flush()
        raise SystemExit(1)


def _unreadable_settings() -> list[str]:
    try:
        settings.INSTALLED_APPS  # noqa: B018 - any attribute makes Django read the module
    except Exception as error:
        # The message alone ("invalid literal for int()") names no variable; the line of the settings does.
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(SETTINGS)]
        where = f" at {lines[-1].line}" if lines else ""
        return [f"The settings cannot be read: {_first_line(error)}{where}"]
    return []


def _wrong_settings() -> list[str]:
    try:
        django.setup()
    except ImproperlyConfigured as error:
        return [f"The settings are wrong: {_first_line(error)}"]
    return [_line(message) for message in run_checks() if message.is_serious() and not message.is_silenced()]


def _wrong_database() -> list[str]:
    from config.checks import unapplied_migrations

    was_open = connection.connection is not None
    try:
        missing = unapplied_migrations()
    except OperationalError as error:
        return [f"The database does not answer: {_first_line(error)}. Check DATABASE_URL and start the database."]
    finally:
        if not was_open:
            connection.close()  # the children that are forked from here must not share it
    if not missing:
        return []
    named = ", ".join(missing[:NAMED_MIGRATIONS]) + (", …" if len(missing) > NAMED_MIGRATIONS else "")
    noun = "migration" if len(missing) == 1 else "migrations"
    return [f"The database lacks {len(missing)} {noun} ({named}). Run: python manage.py migrate"]


def _line(message: CheckMessage) -> str:
    return " ".join(filter(None, (f"{message.id}: {message.msg}", message.hint))).replace("\n", " ")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
