"""Refuses to start on wrong settings or on a database that lacks migrations.

Called by config/wsgi.py, by config/celery.py for worker and beat, and by manage.py for the settings alone: gunicorn
runs no system checks, and Celery runs them and ignores the answer. A refused process writes one line for each reason
and exits with 1, without a traceback: the line says what to set.
"""

import sys
import traceback
from pathlib import Path
from textwrap import shorten

import django
from django.conf import settings
from django.core.checks import CheckMessage, Tags, registry, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

NAMED_MIGRATIONS = 3

SETTINGS = Path(__file__).parents[1]  # config/, whose modules `settings` is made of
LONGEST = 200  # letters of a reason: the countries of the world are no help

# Checks that web alone needs: they import every page, or the tags of the theme. So does one of Django's that has no tag
# (of the middleware). Those of the database are for whoever asks for them by name.
OF_WEB = {Tags.admin, Tags.urls, Tags.templates, Tags.database}


def refuse_wrong_start(*, web: bool) -> None:
    """Raises SystemExit(1), which Celery's signals let through; returns when all is well."""
    _refuse(_unreadable_settings() or _wrong_settings(web) or _wrong_database())


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
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame for frame in frames if Path(frame.filename).parent == SETTINGS and frame.name == "<module>"]
        where = f" at {lines[-1].line}" if lines else ""
        return [f"The settings cannot be read: {_first_line(error)}{where}"]
    return []


def _wrong_settings(web: bool) -> list[str]:
    try:
        django.setup()
    except ImproperlyConfigured as error:
        return [f"The settings are wrong: {_first_line(error)}"]
    tags = None if web else sorted(registry.registry.tags_available() - OF_WEB)
    return [_line(message) for message in run_checks(tags=tags) if message.is_serious() and not message.is_silenced()]


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
    return shorten(str(error).strip().partition("\n")[0], LONGEST, placeholder=" ...").rstrip(".")
