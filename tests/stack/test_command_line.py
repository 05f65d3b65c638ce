"""The command line beside real workers, on both databases: each command by a person, by a program, by its exit code."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SERVERS, require
from tests.forked import ROOT, Commands, commands
from tests.stack.calls import CALLS, ELSEWHERE
from tests.stack.live import Live, started
from tests.test_absurd_words import COMMANDS

pytestmark = pytest.mark.stack

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SECONDS = 300.0


class Scene:
    """A whole stack, its commands, and a stock of what they are about."""

    def __init__(self, live: Live, run: Commands, files: Path) -> None:
        self.live, self.run, self.files = live, run, files
        self.numbers = iter(range(1_000_000))

    def one(self, *words: str) -> Any:
        """What a command tells a program, once."""
        done = self.run.piped(*words)
        assert done.code == 0, done
        return done.lines[0]

    def words(self, text: str) -> list[str]:
        """With what the names in braces stand for."""
        made = {name: make() for name, make in self.made.items() if f"{{{name}}}" in text}
        return shlex.split(text.format(**made))

    @property
    def made(self) -> dict[str, Callable[[], Any]]:
        return {
            "waiting": lambda: self.one("jobs", "schedule", "option.echo", "in 2 hours")["id"],
            "failed": self.failed,
            "key": lambda: self.one("api_key", "make", "site", "jobs:read", "--json")["prefix"],
            "kept": lambda: self.one("jobs", "keep", str(self.files / "bookings.csv"))["id"],
            "paused": self.paused,
            "file": lambda: self.files / f"{next(self.numbers)}.jsonl",
            "export": lambda: self.files / "export.jsonl",
            "bookings": lambda: self.files / "bookings.csv",
            "payments": lambda: self.files / "payments.csv",
            "owed": lambda: self.files / "owed.csv",
            "bad": lambda: self.files / "bad.csv",
            "empty": lambda: self.files / "empty.jsonl",
            "booking": lambda: "cli-1",
        }

    def paused(self) -> str:
        self.one("jobs", "pause", "tenant", "somebody", "--for", "1h")
        return "somebody"

    def failed(self) -> str:
        pk: str = self.one("jobs", "enqueue", "option.fail")["id"]
        self.until(lambda: self.one("jobs", "show", pk)["state"] == "failed", f"{pk} fails")
        return pk

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    server = ""
    if request.param == "postgres":
        require("postgres")
        server = f"postgres://postgres@127.0.0.1:{SERVERS['postgres']}/postgres"
    directory = tmp_path_factory.mktemp(request.param)
    with (
        started(directory, server, without={"web", "flower"}) as live,
        commands(os.environ | live.stack.env) as run,
    ):
        scene = Scene(live, run, directory)
        stocked(scene)
        yield scene


def stocked(scene: Scene) -> None:
    """What is there before any of the tests."""
    head = "external_id,customer_id,customer_name,email,service,starts_at,ends_at,time_zone\n"
    row = "cli-1,c-1,Alice,alice@example.com,Haircut,2099-05-04T10:00,2099-05-04T11:00,Europe/Berlin\n"
    (scene.files / "bookings.csv").write_text(head + row)
    (scene.files / "bad.csv").write_text(head + "cli-2,,,,,,,\n")
    (scene.files / "empty.jsonl").touch()
    head = "external_id,customer_id,customer_name,email,subject,amount,currency,due_on,time_zone\n"
    row = "cli-1,c-1,Alice,alice@example.com,Haircut,12.50,EUR,2099-05-04,Europe/Berlin\n"
    (scene.files / "payments.csv").write_text(head + row)
    (scene.files / "owed.csv").write_text(head + row.replace("12.50", "much"))
    done = scene.run.piped("import_bookings", str(scene.files / "bookings.csv"))
    assert done.code == 0, done
    assert scene.one("jobs", "schedule", "option.echo", "in 2 hours", "--tag", "odd")
    for _ in range(4):  # to be cleaned away
        scene.one("jobs", "enqueue", "option.echo")
    scene.until(lambda: scene.one("jobs", "stats")["succeeded"] >= 4, "they run")
    scene.until(lambda: scene.one("jobs", "workers", "default")["actual"], "the workers are here")
    scene.one("jobs", "export", str(scene.files / "export.jsonl"))
    scene.one("api_key", "make", "stock", "jobs:read", "--json")


def test_every_command_is_in_the_table() -> None:
    assert set(CALLS) | set(ELSEWHERE) == set(COMMANDS)
    page = (ROOT / "docs/cli.md").read_text()
    verbs = [name.partition(" ")[2] for name in COMMANDS if name.startswith("jobs ")]
    others = {name.partition(" ")[0] for name in COMMANDS if not name.startswith("jobs ")}
    assert not [name for name in (*verbs, *(f"manage.py {one}" for one in others)) if f"`{name}" not in page]


@pytest.mark.parametrize("name", CALLS)
def test_a_person_at_a_terminal_of_80_columns(here: Scene, name: str) -> None:
    done = here.run.typed(*name.split(), *here.words(CALLS[name].words), columns=80)
    assert done.code == 0, done.out
    assert CALLS[name].shows in COLOURS.sub("", done.out), done.out
    assert "Traceback" not in done.out


@pytest.mark.parametrize("name", [name for name in CALLS if CALLS[name].tells])
def test_a_program_reads_json_and_nothing_else(here: Scene, name: str) -> None:
    done = here.run.piped(*name.split(), *here.words(CALLS[name].words), "--json")
    assert done.code == 0, done
    assert done.lines and all(CALLS[name].tells in one for one in done.lines)
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize("name", CALLS)
def test_the_exit_code_tells_what_was_wrong(here: Scene, name: str) -> None:
    for words, code, says in CALLS[name].wrong:
        done = here.run.piped(*name.split(), *here.words(words))
        assert (done.code, says in done.err) == (code, True), (words, done)
        complaint = done.err.strip().splitlines()[-1]
        assert complaint and "Traceback" not in done.err and "\x1b" not in done.err, done.err
        assert not done.out or name in ("import_bookings", "import_payments", "jobs import"), done


@pytest.mark.parametrize("here", ["sqlite"], indirect=True)  # it asks no database
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_the_terminal(here: Scene, name: str, columns: int) -> None:
    done = here.run.typed(*name.split(), "--help", columns=columns)
    assert done.code == 0 and done.out.startswith("usage: manage.py")
    assert max(map(len, done.out.splitlines())) <= columns


def test_words_that_no_command_takes_end_before_any(here: Scene) -> None:
    for words in (["jobs", "show", "x" * 1_001], ["jobs", "show", "\udcff"]):
        line = [sys.executable, "manage.py", *words]
        done = subprocess.run(line, cwd=ROOT, env=os.environ | here.live.stack.env, capture_output=True, check=False)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, b"", 1)


def test_a_job_is_made_run_and_shown(here: Scene) -> None:
    made = here.one("jobs", "enqueue", "option.echo", "--data", '{"value": 7}')
    here.until(lambda: here.one("jobs", "show", made["id"])["state"] == "succeeded", "it runs")
    told = here.one("jobs", "show", made["id"], "--reveal")
    assert told["result"] == 7 and told["worker"]


def test_what_failed_is_run_again_and_both_are_on_record(here: Scene) -> None:
    failed = here.failed()
    assert here.one("jobs", "retry", failed)["counts"] == {"done": 1}
    here.until(lambda: len(here.one("jobs", "show", failed)["attempts"]) == 2, "it ran again")
    assert [one["verb"] for one in here.one("jobs", "show", failed)["events"]] == ["enqueue", "retry"]


def test_a_drain_waits_for_the_workers_and_stays_shut(here: Scene) -> None:
    assert here.one("jobs", "watch", "--once")["processes"] > 0
    assert here.run.piped("jobs", "drain", "default", "--timeout", "50s").lines[-1]["running"] == 0
    waits = here.one("jobs", "enqueue", "option.echo")["id"]
    assert here.one("jobs", "show", waits)["state"] == "scheduled"
    here.one("jobs", "resume", "queue", "default")
    here.until(lambda: here.one("jobs", "show", waits)["state"] == "succeeded", "it goes on")


# --- A terminal that dies -------------------------------------------------------------------------------

# `manage.py jobs` that stops after its first chunk, until somebody kills it.
STOPS = """
import signal, sys
import django
django.setup()
from django.core.management import execute_from_command_line
from jobs import bulk_orders
bulk_orders.CHUNK = 5
chunk = bulk_orders.chunk
def one(pk):
    chunk(pk)
    print("one", flush=True)
    signal.pause()
bulk_orders.chunk = one
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""
# The order and its jobs are made older: what else takes a minute.
AGED = """
import django
django.setup()
from datetime import timedelta
from django.db.models import F
from jobs.models import Job, Order
hour = timedelta(hours=1)
print(Order.objects.filter(reason="dies").update(asked_at=F("asked_at") - hour))
Job.objects.filter(correlation_id="dies").update(created_at=F("created_at") - 2 * hour)
"""
TOLD = """
import django, json
django.setup()
from jobs.models import JobEvent, Order
order = Order.objects.get(reason="dies")
jobs = [str(pk) for pk in JobEvent.objects.filter(order=order).values_list("job_id", flat=True)]
print(json.dumps({"open": order.open, "done": order.done, "counts": order.counts, "jobs": jobs}))
"""


def test_an_order_whose_terminal_was_killed_is_finished_by_a_worker(here: Scene) -> None:
    made = {here.one("jobs", "schedule", "option.echo", "in 2 hours", "--tag", "dies")["id"] for _ in range(12)}
    env = os.environ | here.live.stack.env
    words = [sys.executable, "-c", STOPS, "jobs", "cancel", "--tag", "dies", "--yes", "--reason", "dies"]
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "one\n"
        process.kill()
        assert process.wait(SECONDS) == -9

    def python(code: str) -> str:
        line = [sys.executable, "-c", code]
        return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout

    told = json.loads(python(TOLD))
    assert (told["open"], told["done"], len(told["jobs"])) == (True, 5, 5)
    assert python(AGED) == "1\n"
    here.until(lambda: len(here.run.piped("jobs", "list", "--tag", "dies", "--state", "cancelled").lines) == 12, "done")
    here.until(lambda: not json.loads(python(TOLD))["open"], "the order ends")
    told = json.loads(python(TOLD))
    assert (told["done"], told["counts"], sorted(told["jobs"])) == (12, {"cancelled": 12}, sorted(made))
