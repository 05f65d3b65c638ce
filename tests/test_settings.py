"""The settings: every variable explained, every mistake refused with what to set instead."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import checks
from django.core.checks import CheckMessage

from tests.compose import FILLED_IN, ROOT

PRODUCTION = {key: FILLED_IN[key] for key in ("SECRET_KEY", "PUBLIC_URL", "FROM_EMAIL")} | {
    "DATABASE_URL": "postgres://punctual:a1b2c3@postgres:5432/punctual",
    "BROKER_URL": "redis://:a1b2c3@redis:6379/0",
    "EMAIL_URL": "smtp+tls://punctual:a1b2c3@mail.example.com:587",
    "BEHIND_PROXY": "true",
}
GOOD_KEY = FILLED_IN["SECRET_KEY"]
SERVERS = {
    "web": ["gunicorn", "config.wsgi", "--bind", "127.0.0.1:0"],
    "worker": ["celery", "-A", "config", "worker"],
    "beat": ["celery", "-A", "config", "beat"],
}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process with this environment and nothing else."""
    here = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "ENV_FILE": os.devnull}
    return subprocess.run(
        command, cwd=ROOT, env=here | environment, capture_output=True, text=True, timeout=300, check=False
    )


# --- .env.example --------------------------------------------------------------------------------------


def explained() -> set[str]:
    return set(re.findall(r"^# (\w+)=", (ROOT / ".env.example").read_text(), re.M))


def read_by(pattern: str, *files: Path) -> set[str]:
    return {name for file in files for name in re.findall(pattern, file.read_text())}


def test_every_variable_of_the_application_is_explained():
    files = [*(ROOT / "config").rglob("*.py"), ROOT / "gunicorn.conf.py"]
    variables = read_by(r'\benv\.\w+\(\s*"([A-Z_]+)"', *files) | read_by(r'environ(?:\.get\(|\[)"([A-Z_]+)"', *files)
    internal = {"SUPERVISOR_PID", "READY_FILE", "DJANGO_SETTINGS_MODULE"}  # from one of our processes to another
    of_every_program = {"NO_COLOR", "TZ"}
    assert variables - internal - of_every_program <= explained()


def test_every_variable_of_docker_compose_is_explained():
    assert read_by(r"\$\{(\w+)", ROOT / "docker-compose.yml") <= explained()


def test_nothing_is_explained_that_nobody_reads():
    files = [ROOT / "docker-compose.yml", ROOT / "gunicorn.conf.py", *(ROOT / "config").rglob("*.py")]
    readers = "\n".join(file.read_text() for file in files)
    assert not {name for name in explained() if not re.search(rf"\b{name}\b", readers)}


def test_an_example_states_a_default_or_that_there_is_none():
    for paragraph in re.split(r"\n\n+", (ROOT / ".env.example").read_text()):
        if re.search(r"^# [A-Z_]+=", paragraph, re.M):
            assert re.search(r"[Dd]efault", paragraph), paragraph


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"PORT": ""}, "http://127.0.0.1:8000"),
        ({"PORT": "8001"}, "http://127.0.0.1:8001"),  # as `make run` serves then
        ({"PORT": "8001", "PUBLIC_URL": "https://salon.example.com/"}, "https://salon.example.com"),
    ],
)
def test_links_lead_to_the_port_that_is_served(given, address):
    """A mail that manage.py sends has links too, and `make run` tells only its own children where it listens."""
    told = run(sys.executable, "-c", "from config.environment import PUBLIC_URL; print(PUBLIC_URL)", **given)
    assert told.stdout.strip() == address, told.stderr


# --- Our own checks ------------------------------------------------------------------------------------

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("punctual.E001", {"SECRET_KEY": ""}, "Set SECRET_KEY"),
    ("punctual.E001", {"SECRET_KEY": "django-insecure-" + GOOD_KEY}, "Set SECRET_KEY"),
    ("punctual.E001", {"SECRET_KEY": GOOD_KEY[:31]}, "Set SECRET_KEY"),
    ("punctual.E001", {"SECRET_KEY": "ab" * 20}, "Set SECRET_KEY"),
    ("punctual.E002", {"CELERY_BROKER_URL": "valkey://127.0.0.1:6379/0"}, "redis://"),
    ("punctual.E002", {"CELERY_BROKER_URL": "127.0.0.1:6379"}, "Set BROKER_URL"),
    ("punctual.E004", {"TIME_ZONE": "Mars/Base"}, "Set TIME_ZONE"),
    ("punctual.E005", {"JOBS_QUEUES": []}, "Set JOBS_QUEUES"),
    ("punctual.E005", {"JOBS_QUEUES": ["default", " "]}, "Set JOBS_QUEUES"),
    ("punctual.E005", {"JOBS_QUEUES": ["default", "default"]}, "Set JOBS_QUEUES"),
    ("punctual.E005", {"JOBS_QUEUES": ["default", "clock"]}, "Set JOBS_QUEUES"),
    (
        "punctual.E006",
        {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": __file__ + "/mail"},
        "Set EMAIL_URL",
    ),
    ("punctual.E007", {"DEFAULT_FROM_EMAIL": "Reminders"}, "Set FROM_EMAIL"),
    ("punctual.E007", {"DEFAULT_FROM_EMAIL": "Reminders <reminders@>"}, "Set FROM_EMAIL"),
    ("punctual.E008", {"CELERY_TASK_SERIALIZER": "pickle"}, "json"),
    ("punctual.E008", {"CELERY_ACCEPT_CONTENT": ["json", "pickle"]}, "json"),
    ("punctual.E009", {"CELERY_TASK_ACKS_LATE": True}, "CELERY_TASK_ACKS_LATE = False"),
    ("punctual.E010", {"PUBLIC_URL": "bookings.example.com"}, "Set PUBLIC_URL"),
    ("punctual.E010", {"PUBLIC_URL": "http://127.0.0.1:web"}, "PORT"),  # as PORT=web makes it
    ("punctual.E010", {"PUBLIC_URL": "http://127.0.0.1:0"}, "PORT"),
    ("punctual.E010", {"PUBLIC_URL": "http://127.0.0.1:80800"}, "PORT"),
    ("punctual.E011", {"CELERY_WORKER_CONCURRENCY": 0}, "Set WORKER_CONCURRENCY to 1 or more"),
    ("punctual.E011", {"API_RATE_OF_KEY": -1}, "Set API_RATE_OF_KEY to 0 or more"),
    ("punctual.E012", {"METRICS_TOKEN": "metrics"}, "Set METRICS_TOKEN to 20 random"),
    ("jobs.E001", {"JOBS_KEEP_DAYS": {"succeeded": 7, "failed": -1}}, "Set JOBS_KEEP_FAILED_DAYS to 0 or more"),
    ("jobs.E001", {"JOBS_KEEP_COUNT": {"expired": -5}}, "Set JOBS_KEEP_EXPIRED_COUNT to 0 or more"),
    ("jobs.E001", {"JOBS_KEEP_KEYS_DAYS": -400}, "Set JOBS_KEEP_KEYS_DAYS to 0 or more"),
    ("jobs.E003", {"LATENESS_GOAL": 0}, "Set LATENESS_GOAL to 1 or more"),
    ("jobs.E002", {"JOBS_MAX_PROCESSES": 0}, "Set JOBS_MAX_PROCESSES to 1 or more"),
]
WRONG_IN_PRODUCTION: list[tuple[str, dict[str, Any], str]] = [
    ("punctual.W001", {"PUBLIC_URL": "http://bookings.example.com"}, "Set PUBLIC_URL"),
    ("punctual.W002", {"CELERY_BROKER_URL": "redis://redis:6379/0"}, "password"),
    ("punctual.W003", {"DEBUG": True}, "Remove DEBUG"),
    ("punctual.W004", {"DEFAULT_FROM_EMAIL": "Punctual <reminders@localhost>"}, "Set FROM_EMAIL"),
]


OURS = ("punctual", "jobs")


def named(settings: Any, wrong: dict[str, Any], **kinds: Any) -> dict[str, CheckMessage]:
    """Our checks' messages by id, with these settings wrong."""
    for name, value in wrong.items():
        setattr(settings, name, value)
    messages = checks.run_checks(**kinds)
    return {str(message.id): message for message in messages if str(message.id).startswith(OURS)}


@pytest.mark.parametrize(("identifier", "wrong", "advice"), WRONG)
def test_a_wrong_setting_is_an_error_that_says_what_to_set(settings, identifier, wrong, advice):
    found = named(settings, wrong, tags=list(OURS))
    assert found[identifier].is_serious()
    assert advice in (found[identifier].hint or "")


@pytest.mark.parametrize(("identifier", "wrong", "advice"), WRONG_IN_PRODUCTION)
def test_what_is_wrong_in_production_only_is_a_warning(settings, identifier, wrong, advice):
    found = named(settings, wrong, tags=["security"], include_deployment_checks=True)
    assert not found[identifier].is_serious()
    assert advice in (found[identifier].hint or "")
    assert identifier not in named(settings, wrong, tags=["punctual"])


@pytest.mark.parametrize("vendor", ["mysql", "oracle"])
def test_another_database_is_an_error(monkeypatch, vendor):
    monkeypatch.setattr("config.checks.connection", SimpleNamespace(vendor=vendor))
    (message,) = (each for each in checks.run_checks(tags=["punctual"]) if each.id == "punctual.E003")
    assert "Set DATABASE_URL" in (message.hint or "")


def test_a_remote_broker_beside_a_local_database_is_a_warning(settings, monkeypatch):
    monkeypatch.setattr("config.checks.connection", SimpleNamespace(vendor="sqlite"))
    wrong = {"CELERY_BROKER_URL": "redis://:a1b2c3@redis:6379/0"}
    found = named(settings, wrong, tags=["security"], include_deployment_checks=True)
    assert "Set DATABASE_URL" in (found["punctual.W005"].hint or "")


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:6379/0", "redis://[::1]:6379", "redis+socket:///run/valkey.sock", "amqp://localhost"],
)
def test_a_local_broker_needs_no_password(settings, url):
    found = named(settings, {"CELERY_BROKER_URL": url}, tags=["security"], include_deployment_checks=True)
    assert "punctual.W002" not in found


def test_a_short_key_is_good_enough_for_debugging(settings):
    assert "punctual.E001" not in named(settings, {"SECRET_KEY": "short", "DEBUG": True}, tags=["punctual"])


def test_every_check_of_ours_is_broken_above():
    ids = read_by(
        r'"((?:punctual|jobs)\.[EW]\d+)"',
        *(ROOT / name for name in ("config/checks.py", "config/least.py", "jobs/checks.py")),
    )
    assert ids == {case[0] for case in WRONG + WRONG_IN_PRODUCTION} | {"punctual.E003", "punctual.W005"}


def test_the_shipped_settings_are_fit_for_production():
    answer = run("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert answer.returncode == 0, answer.stderr
    assert "no issues (0 silenced)" in answer.stdout


# --- Starting ------------------------------------------------------------------------------------------


@pytest.mark.stack
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"SECRET_KEY": "changeme"}, "punctual.E001: SECRET_KEY is a placeholder"),
        ({"JOBS_KEEP_FAILED_DAYS": "-1"}, "jobs.E001: JOBS_KEEP_FAILED_DAYS is negative: -1. Set"),
        ({"LOGIN_ATTEMPTS": "two"}, 'The settings cannot be read: .*"LOGIN_ATTEMPTS"'),
        ({"DATABASE_URL": "postgres://punctual@127.0.0.1:1/punctual"}, "The database does not answer: "),
        ({}, r"The database lacks \d+ migrations \(.+, …\)\. Run: python manage\.py migrate"),
    ],
    ids=["a wrong setting", "one of the ledger", "an unreadable one", "no database", "an empty database"],
)
def test_a_server_refuses_to_start_with_one_line(tmp_path, server, wrong, reason):
    answer = run(*SERVERS[server], **{"SECRET_KEY": GOOD_KEY, "DATA_DIR": str(tmp_path)} | wrong)
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert re.match(reason, answer.stderr)
