"""The whole stack, as a user starts it: `python -m config.stack` is what `make run` runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGSTOP, SIGTERM

import pytest
import redis
from django.contrib.auth.models import User
from django.core.management import call_command

from config.stack import BASE_DIR, Stack, StackError, dotenv, ports
from tests.stack.conftest import processes, until, up_again

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel call exists on Linux alone")
PASSWORD = re.compile(r"shown only this once: (\S+)")


@dataclass
class Run:
    """One `make run` over a directory of its own."""

    directory: Path
    env: dict[str, str]
    process: subprocess.Popen[str] | None = None
    output: list[str] = field(default_factory=list)

    def start(self) -> "Run":
        self.output.clear()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.stack"],
            cwd=BASE_DIR,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def read_until(self, word: str) -> str:
        """Read on to the line that has the word; fails with the whole output when it never comes."""
        assert self.process and self.process.stdout
        for line in self.process.stdout:
            self.output.append(line)
            if word in line:
                return line
        pytest.fail(f"{word!r} never came:\n{''.join(self.output)}")

    def end(self, signum: int) -> int:
        """Send the signal, read the rest; returns the exit code."""
        assert self.process and self.process.stdout
        self.process.send_signal(signum)
        self.output += self.process.stdout
        self.process.stdout.close()
        return self.process.wait(300)


@pytest.fixture
def run(tmp_path, mark, monkeypatch) -> Iterator[Run]:
    for name in ("SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    held = ports.Held(3)  # between two starts too
    web, flower, valkey = held.ports
    chosen = {"PORT": web, "FLOWER_PORT": flower, "BROKER_PORT": valkey}
    for name, value in (chosen | {"DATA_DIR": tmp_path / "data", "ENV_FILE": tmp_path / ".env"}).items():
        monkeypatch.setenv(name, str(value))
    made = Run(tmp_path, dict(os.environ))
    yield made
    if made.process and made.process.poll() is None:
        made.end(SIGKILL)
    held.close()


# --- make run ------------------------------------------------------------------------------------------


@pytest.mark.stack
@linux
def test_a_first_start_a_clean_stop_and_a_second_start(run, mark):
    run.start().read_until("Punctual is ready")
    run.read_until("Database")
    first = "".join(run.output)
    assert len(PASSWORD.findall(first)) == 1
    assert dotenv.read(run.directory / ".env")["FLOWER_PASSWORD"] not in first
    with redis.Redis(port=int(run.env["BROKER_PORT"])) as client:
        client.rpush("kept", "message")

    assert run.end(SIGTERM) == 0
    stopped = [line.split()[0] for line in run.output if "-- stopped" in line]
    assert stopped == ["beat", "clock", "worker", "flower", "web", "broker"]
    until(lambda: not processes(mark))  # what was killed with its group takes a moment to be gone

    ready = run.start().read_until("Punctual is ready")
    assert re.findall(r"after [\d.]+ s", ready)
    assert not PASSWORD.search("".join(run.output))
    with redis.Redis(port=int(run.env["BROKER_PORT"])) as client:
        assert client.lrange("kept", 0, -1) == [b"message"]
    assert run.end(SIGINT) == 0


@pytest.mark.stack
@linux
def test_killed_it_leaves_nobody_and_the_next_start_works(run, mark):
    run.start().read_until("Punctual is ready")
    everyone = [pid for pid in processes(mark) if pid != run.process.pid]
    assert len(everyone) >= 9  # with what gunicorn and Celery forked
    for pid in everyone:  # stopped, none of them can notice by itself that its parent is gone
        with suppress(ProcessLookupError):  # one of those that live for a moment
            os.kill(pid, SIGSTOP)
    run.process.kill()
    until(lambda: not processes(mark))
    run.end(SIGKILL)
    run.start().read_until("Punctual is ready")
    assert run.end(SIGTERM) == 0


@pytest.mark.stack
def test_a_taken_port_stops_the_start_before_it_begins(run, tmp_path):
    run.env["PORT"] = run.env["FLOWER_PORT"]
    run.start().read_until("are the same port")
    assert run.process.wait(300) == 1
    assert run.end(0) == 1
    assert not (tmp_path / "data" / "punctual.sqlite3").exists()


# --- The stack as tests and the demo use it ------------------------------------------------------------


@pytest.mark.stack
def test_processes_come_back_and_an_emptied_broker_is_empty(tmp_path):
    with Stack(tmp_path / "data", log=tmp_path / "log", without={"web", "flower"}) as stack:
        assert stack.wait_ready()
        with pytest.raises(KeyError):
            stack.pid("web")
        stack.kill("worker")
        until(lambda: up_again(stack, "worker", 1))
        with redis.Redis.from_url(stack.urls["broker"]) as client:
            client.set("gone", 1)
            stack.wipe_broker()
            assert client.get("gone") is None
        assert stack.restart_count("broker") == 1
    assert "stopped" in (tmp_path / "log").read_text().splitlines()[-1]


@pytest.mark.stack
def test_a_preparation_that_fails_says_why_and_leaves_nobody(tmp_path, mark):
    stack = Stack(tmp_path / "data", log=tmp_path / "log", env={"SECRET_KEY": "short"})
    with pytest.raises(StackError, match="SECRET_KEY can be guessed"):
        stack.start()
    assert [pid for pid in processes(mark) if pid != os.getpid()] == []


# --- The admin user ------------------------------------------------------------------------------------


@pytest.fixture
def ensure_admin(db, monkeypatch):
    for name in ("ADMIN_USER", "ADMIN_EMAIL", "ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdin", StringIO())

    def call() -> str:
        output = StringIO()
        call_command("ensure_admin", stdout=output, stderr=output)
        return output.getvalue()

    return call


def test_a_generated_password_is_printed_once_and_works(ensure_admin):
    [password] = PASSWORD.findall(ensure_admin())
    admin = User.objects.get(is_superuser=True)
    assert (admin.username, admin.check_password(password)) == ("admin", True)
    assert ensure_admin() == ""
    assert User.objects.get().password == admin.password


def test_the_admin_of_the_environment_is_created_without_showing_the_password(ensure_admin, monkeypatch):
    for name, value in {"USER": "olga", "EMAIL": "olga@example.com", "PASSWORD": "correct-horse-9"}.items():
        monkeypatch.setenv(f"ADMIN_{name}", value)
    assert "correct-horse-9" not in ensure_admin()
    olga = User.objects.get()
    assert (olga.username, olga.email, olga.is_superuser) == ("olga", "olga@example.com", True)
    assert olga.check_password("correct-horse-9")


def test_an_existing_account_is_never_changed(ensure_admin, monkeypatch):
    User.objects.create_user("olga", password="her own")
    monkeypatch.setenv("ADMIN_USER", "olga")
    monkeypatch.setenv("ADMIN_PASSWORD", "another")
    assert ensure_admin() == ""
    assert User.objects.get().check_password("her own")


def test_on_a_terminal_the_password_is_asked_for(ensure_admin, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = iter(["123", "correct-horse-9", "wrong", "correct-horse-9", "correct-horse-9"])
    monkeypatch.setattr("config.management.commands.ensure_admin.getpass", lambda prompt: next(answers))
    output = ensure_admin()
    assert "too short" in output
    assert "They differ." in output
    assert not PASSWORD.search(output)
    assert User.objects.get().check_password("correct-horse-9")
