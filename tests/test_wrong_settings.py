"""What an operator mistypes: a command, and `make run`, answer with one line that names the variable or the file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks

from config.stack import stack
from tests.compose import FILLED_IN, ROOT

pytestmark = pytest.mark.usefixtures("_no_environment")


@pytest.fixture
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA_DIR", "ENV_FILE", "SECRET_KEY", "BROKER_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


UNREADABLE = {
    "LOGIN_ATTEMPTS": "five",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "xml",
    "PHONE_REGION": "XX",
    "JOBS_KEEP_FILES_DAYS": "a week",
    "KEEP_DELIVERIES_DAYS": "long",
    "EMAIL_URL": "mail.example.com",
    "CHANNEL_POLICIES": "hold",
    "SMS_PRICE": "cheap",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_command_names_the_variable_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    here = {
        "PATH": os.defpath,
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": FILLED_IN["SECRET_KEY"],
    }
    command = [sys.executable, "manage.py", "verify"]
    answer = subprocess.run(
        command, cwd=ROOT, env=here | {name: UNREADABLE[name]}, capture_output=True, text=True, timeout=180
    )
    assert answer.returncode == 1
    (line,) = answer.stderr.splitlines()
    assert re.match(rf"The settings cannot be read: .+ at .*\b{name}\b", line), line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("wrong", "ours", "hint"),
    [
        ({"OPT_IN_CHANNELS": ["SMS"]}, "punctual.E052", "Set OPT_IN_CHANNELS to some of email, sms"),
        ({"EMAIL_BACKEND": "anymail.backends.postmrak.EmailBackend"}, "punctual.E053", "anymail://postmark"),
        ({"CALLBACK_SECRET": "short"}, "punctual.E054", "Set CALLBACK_SECRET to whsec_"),
        ({"CALLBACK_SECRET": "whsec_!!!"}, "punctual.E054", "Set CALLBACK_SECRET to whsec_"),
    ],
    ids=["a channel", "a mail provider", "a secret", "an empty secret"],
)
def test_what_no_channel_could_use_is_refused(settings, wrong, ours, hint) -> None:
    def found() -> dict[str | None, str]:
        return {message.id: message.hint or "" for message in checks.run_checks(tags=["punctual"])}

    assert ours not in found()
    for name, value in wrong.items():
        setattr(settings, name, value)
    assert hint in found()[ours]


def unwritable(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Nobody may write there. By the call, since the tests may run as root, who may write anywhere."""
    real = {name: getattr(os, name) for name in ("open", "mkdir")}

    def refused(name: str):
        def call(file, *args, **options):
            if Path(os.fsdecode(file)).is_relative_to(path):
                raise PermissionError(13, "Permission denied", str(file))
            return real[name](file, *args, **options)

        return call

    for name in real:
        monkeypatch.setattr(os, name, refused(name))


def test_a_directory_where_it_may_not_write_is_named(tmp_path, monkeypatch, capsys) -> None:
    data, env = tmp_path / "data", tmp_path / ".env"
    monkeypatch.setenv("ENV_FILE", str(env))
    monkeypatch.setenv("DATA_DIR", str(data))
    unwritable(monkeypatch, data)
    assert stack.main() == 1
    said = capsys.readouterr().out
    assert f"Permission denied: '{data}'. Let this user write in DATA_DIR" in said


def test_a_file_of_settings_that_it_may_not_write_is_named(tmp_path, monkeypatch, capsys) -> None:
    env = tmp_path / "locked" / ".env"
    monkeypatch.setenv("ENV_FILE", str(env))
    unwritable(monkeypatch, env.parent)
    assert stack.main() == 1
    assert re.search(rf"Permission denied: '{env}'\. Let this user read and write that file", capsys.readouterr().out)
