"""System checks of our own: what is wrong with the settings, and which variable to set instead.

Run by `manage.py check`, by nearly every management command, and by config/serving/start.py before web, worker and
beat serve anything. Errors (punctual.Exxx) stop a start; warnings (punctual.Wxxx) belong to
`check --deploy`. A check reads settings and the file system only; `unapplied_migrations` alone reads
the database, and is no registered check because `manage.py migrate` must be able to start.
"""

import os
import zoneinfo
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning as Alert
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.least import check_least, check_metrics_token

Check = Callable[..., list[CheckMessage]]
Apps = Sequence[AppConfig] | None

SECRET_KEY_LENGTH = 32
PLACEHOLDERS = (
    "django-insecure",
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "your-secret",
    "placeholder",
)
NEW_KEY = """python -c "import secrets; print(secrets.token_urlsafe(48))\""""

# "memory" is for tests. Others of kombu's transports lose messages or cannot be watched by Flower.
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps", "pyamqp", "memory")


def register_all() -> None:
    """Called once, by the app registry."""
    for check in START_CHECKS:
        checks.register(check, "punctual")
    for check in DEPLOY_CHECKS:
        checks.register(check, checks.Tags.security, deploy=True)


def unapplied_migrations() -> list[str]:
    """Migrations that the code has and the database lacks, in order: ["jobs.0001_initial", ...].

    Raises django.db.OperationalError when the database does not answer.
    """
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


# --- Wrong everywhere ----------------------------------------------------------------------------------


def check_secret_key(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if settings.DEBUG:
        return []
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django raises at the first look at an empty key
        key = ""
    if not key:
        problem = "SECRET_KEY is empty."
    elif any(word in key.lower() for word in PLACEHOLDERS):
        problem = "SECRET_KEY is a placeholder that everybody knows."
    elif len(key) < SECRET_KEY_LENGTH or len(set(key)) < 5:
        problem = f"SECRET_KEY can be guessed: it has {len(key)} characters, {len(set(key))} different ones."
    else:
        return []
    hint = f"Set SECRET_KEY to 50 or more random characters: {NEW_KEY}"
    return [Error(problem, hint=hint, id="punctual.E001")]


def check_broker_scheme(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    unknown = sorted({url.scheme for url in _brokers() if url.scheme not in BROKER_SCHEMES})
    if not unknown:
        return []
    return [
        Error(
            f"BROKER_URL has an unsupported scheme: {', '.join(repr(scheme) for scheme in unknown)}.",
            hint="Set BROKER_URL to redis://, rediss://, redis+socket://, sentinel://, amqp:// or amqps:// "
            "(a Valkey server is addressed as redis://).",
            id="punctual.E002",
        )
    ]


def check_database(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    try:
        vendor = connection.vendor
    except ImproperlyConfigured as error:
        vendor = str(error).splitlines()[0]
    if vendor in ("sqlite", "postgresql"):
        return []
    return [
        Error(
            f"The database is not supported: {vendor}.",
            hint="Set DATABASE_URL to postgres://user:password@host:5432/name or sqlite:////path/to/file. "
            "The job ledger relies on RETURNING, CHECK and partial unique indexes as these two have them.",
            id="punctual.E003",
        )
    ]


def check_time_zone(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    try:
        zoneinfo.ZoneInfo(settings.TIME_ZONE)
    except (
        zoneinfo.ZoneInfoNotFoundError,
        ValueError,
        OSError,
    ):  # OSError: a directory
        hint = "Set TIME_ZONE to a name of the IANA database, such as Europe/Berlin or UTC."
        return [Error(f"TIME_ZONE is unknown: {settings.TIME_ZONE!r}.", hint=hint, id="punctual.E004")]
    return []


def check_queues(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    queues = settings.JOBS_QUEUES
    if not queues or not all(name.strip() for name in queues):
        problem = "JOBS_QUEUES is empty or names an empty queue."
    elif len(set(queues)) < len(queues):
        problem = f"JOBS_QUEUES names a queue twice: {', '.join(queues)}."
    elif settings.JOBS_CLOCK_QUEUE in queues:
        problem = f"JOBS_QUEUES contains {settings.JOBS_CLOCK_QUEUE!r}: jobs would delay the clock's ticks."
    else:
        return []
    hint = "Set JOBS_QUEUES to different names separated by commas, such as default,messages."
    return [Error(problem, hint=hint, id="punctual.E005")]


def check_mail_directory(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if settings.EMAIL_BACKEND != "django.core.mail.backends.filebased.EmailBackend":
        return []
    directory = Path(settings.EMAIL_FILE_PATH or "")
    existing = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if settings.EMAIL_FILE_PATH and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"Mail goes to files in {str(directory)!r}, but {str(existing)!r} is no writable directory.",
            hint="Set EMAIL_URL to filemail:////path/to/writable/directory, or smtp://user:password@host:port.",
            id="punctual.E006",
        )
    ]


def check_sender(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    try:
        validate_email(_sender())
    except ValidationError:
        hint = "Set FROM_EMAIL to an address such as: Reminders <reminders@example.com>"
        problem = f"FROM_EMAIL is not an address: {settings.DEFAULT_FROM_EMAIL!r}."
        return [Error(problem, hint=hint, id="punctual.E007")]
    return []


def check_serializers(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    names = ("CELERY_TASK_SERIALIZER", "CELERY_RESULT_SERIALIZER", "CELERY_EVENT_SERIALIZER")
    lists = ("CELERY_ACCEPT_CONTENT", "CELERY_RESULT_ACCEPT_CONTENT")
    wrong = [name for name in names if getattr(settings, name) != "json"]
    wrong += [name for name in lists if list(getattr(settings, name)) != ["json"]]
    if not wrong:
        return []
    return [
        Error(
            f"Not JSON alone: {', '.join(wrong)}. With pickle, the broker's users run code here.",
            hint="Leave the serializers json and the accepted content ['json'].",
            id="punctual.E008",
        )
    ]


def check_early_acks(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if not settings.CELERY_TASK_ACKS_LATE:
        return []
    return [
        Error(
            "CELERY_TASK_ACKS_LATE is on: the broker would hand out again what the ledger gave to a worker.",
            hint="Set CELERY_TASK_ACKS_LATE = False; a lost worker's jobs come back by their leases.",
            id="punctual.E009",
        )
    ]


def check_public_url(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    try:
        url = urlsplit(settings.PUBLIC_URL)
        leads_somewhere = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:  # a port that is none
        leads_somewhere = False
    if leads_somewhere:
        return []
    hint = "Set PUBLIC_URL to the address that people open, such as https://bookings.example.com; its default has PORT"
    return [Error(f"PUBLIC_URL is not an address: {settings.PUBLIC_URL!r}.", hint=hint, id="punctual.E010")]


# --- Wrong in production (check --deploy) --------------------------------------------------------------


def check_https(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if settings.PUBLIC_URL.startswith("https://"):
        return []
    hint = "Set PUBLIC_URL to an https:// address, and BEHIND_PROXY=true when a proxy ends TLS."
    return [Alert("PUBLIC_URL is not https: passwords cross the network in clear.", hint=hint, id="punctual.W001")]


def check_broker_password(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if all(url.password or _is_local(url) for url in _brokers()):
        return []
    return [
        Alert(
            "The broker is remote and BROKER_URL has no password: who reaches it can queue and delete work.",
            hint="Set a password on the broker and BROKER_URL=redis://:password@host:6379/0.",
            id="punctual.W002",
        )
    ]


def check_debug(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if not settings.DEBUG:
        return []
    hint = "Remove DEBUG from the environment."
    return [Alert("DEBUG is on: error pages show settings and data.", hint=hint, id="punctual.W003")]


def check_sender_domain(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if _sender().rpartition("@")[2] not in ("localhost", "localhost.localdomain"):
        return []
    hint = "Set FROM_EMAIL to an address of a domain that may send through your mail server."
    return [Alert("FROM_EMAIL is at localhost: mail servers refuse it.", hint=hint, id="punctual.W004")]


def check_sqlite_alone(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    if connection.vendor != "sqlite" or all(_is_local(url) for url in _brokers()):
        return []
    return [
        Alert(
            "The broker is remote but the database is a local file: workers elsewhere would see no jobs.",
            hint="Set DATABASE_URL to postgres://user:password@host:5432/name.",
            id="punctual.W005",
        )
    ]


def _brokers() -> list[SplitResult]:
    """BROKER_URL, taken apart; several addresses (sentinels, failover) are separated by semicolons."""
    return [urlsplit(url.strip()) for url in settings.CELERY_BROKER_URL.split(";")]


def _is_local(url: SplitResult) -> bool:
    """A unix socket, a loopback address, or this process."""
    host = url.hostname
    if not host or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _sender() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1]


START_CHECKS: tuple[Check, ...] = (
    check_secret_key,
    check_broker_scheme,
    check_database,
    check_time_zone,
    check_queues,
    check_mail_directory,
    check_sender,
    check_serializers,
    check_early_acks,
    check_public_url,
    check_least,
    check_metrics_token,
)
DEPLOY_CHECKS: tuple[Check, ...] = (
    check_https,
    check_broker_password,
    check_debug,
    check_sender_domain,
    check_sqlite_alone,
)
