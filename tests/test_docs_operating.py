"""docs/operating.md is executed: its commands, its backups and the way back from them; what it names is there."""

import re
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from bench.database import created
from tests.compose import raw
from tests.installation import ROOT, Installation, installed

PAGE = (ROOT / "docs/operating.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.M)
MANAGE = "manage.py "
IN_ORDER = [command.removeprefix(MANAGE) for command in COMMANDS if command.startswith(MANAGE)]
BACKUPS = [command for command in COMMANDS if not command.startswith(MANAGE)]
IN_TEXT = sorted({" ".join(words.split()) for words in re.findall(r"`manage\.py ([^`]+)`", PAGE)} - {*IN_ORDER})
FOR_EXAMPLE = {"TASK": "notifications.deliver", "ID": "01a22261-d36b-7651-bc60-0636d4451c35"}
# What they end with in a new installation, where no worker runs: unwell; nothing to do. All others: 0.
CODES = {"health": 1, "jobs cancel": 3, "jobs list": 3, "jobs retry": 3, "why": 3}
UNFINISHED = {"jobs scale", "jobs pause", "api_key rotate", "shell"}  # it names them, and no more


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("operating")) as made:
        yield made


def code_of(command: str) -> int:
    one, two = (*command.split(), "")[:2]
    return CODES.get(one, CODES.get(f"{one} {two}", 0))


def test_the_commands_run_in_their_order(here: Installation) -> None:
    assert len(IN_ORDER) > 10
    for command in IN_ORDER:
        done = here.run(*shlex.split(command))
        assert done.returncode == code_of(command), (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, command


@pytest.mark.parametrize("command", IN_TEXT)
def test_a_command_in_the_text_is_one(here: Installation, command: str) -> None:
    words = [FOR_EXAMPLE.get(word, word) for word in shlex.split(command)]
    done = here.run(*words, *(["--help"] if command in UNFINISHED else []))
    assert done.returncode == (0 if command in UNFINISHED else code_of(command)), done.stdout + done.stderr
    if command.startswith("migrate "):
        again = here.run("migrate", "--verbosity", "0")
        assert again.returncode == 0, again.stderr


def backup(tool: str) -> str:
    (command,) = [command for command in BACKUPS if command.startswith(tool)]
    return command


def test_every_backup_is_tried_below() -> None:
    assert {command.split()[0] for command in BACKUPS} == {".venv/bin/python", "pg_dump"}


def test_a_copy_of_sqlite_is_whole_while_it_is_written(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "data").mkdir()
    used = sqlite3.connect(tmp_path / "data/punctual.sqlite3")
    used.executescript("PRAGMA journal_mode=WAL; CREATE TABLE kept (n); INSERT INTO kept VALUES (1);")
    used.execute("INSERT INTO kept VALUES (2)")  # and not committed
    _, *words = shlex.split(backup(".venv/bin/python"))
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, timeout=180)
    copy = sqlite3.connect(tmp_path / "backup.sqlite3")
    assert copy.execute("SELECT n FROM kept").fetchall() == [(1,)]
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_dump_of_postgres_comes_back(here: Installation, tmp_path: Path) -> None:
    url = here.env["DATABASE_URL"]
    if not url.startswith("postgres") or not shutil.which("pg_dump"):
        pytest.skip("needs PostgreSQL and its tools")
    (restore,) = re.findall(r"`(pg_restore [^`]+)`", PAGE)
    subprocess.run(["sh", "-ec", backup("pg_dump")], cwd=tmp_path, env=here.env, check=True, timeout=180)
    with created(url, f"punctual_restored_{uuid.uuid4().hex[:8]}") as empty:
        for _ in range(2):  # into an empty one, and over one that is there
            there = here.env | {"DATABASE_URL": empty}
            subprocess.run(["sh", "-ec", restore], cwd=tmp_path, env=there, check=True, timeout=180)
            done = here.run("verify", DATABASE_URL=empty)
            assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_names_is_there() -> None:
    services = set(raw()["services"])
    for words in re.findall(r"docker compose (?:stop|exec|run --rm) ([\w ]+?)(?: python|`)", PAGE):
        assert set(words.split()) <= services, words
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"`([A-Z]{3,}_[A-Z_]+[A-Z])`", PAGE):
        assert re.search(rf"^# {name}=", example, re.M), name
    assert set(settings.JOBS_QUEUES) == set(re.findall(r"jobs pause queue (\w+)", PAGE))


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(PAGE.splitlines()) < 150
