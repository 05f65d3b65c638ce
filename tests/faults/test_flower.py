"""Flower and what it asks for, when other parts are dead; and on the other broker."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from django.utils import timezone

from jobs.models import Job
from tests.faults.conftest import until
from tests.stack import flower_probes as probes
from tests.stack.flower import ask, becomes, revoke, shown
from tests.stack.live import Live, pointed, started

pytestmark = [pytest.mark.faults, pytest.mark.stack]


@pytest.fixture
def running(tmp_path: Path, django_db_blocker: Any) -> Iterator[Live]:
    with started(tmp_path, without={"web"}) as made, pointed(made, django_db_blocker):
        yield made
        print(made.log.read_text()[-20_000:])  # pytest shows it when the test failed


def test_a_revoke_needs_neither_worker_nor_broker_and_outlives_them_all(running: Live, tmp_path: Path) -> None:
    stack = running.stack
    job = probes.alone.apply_async((f"write {tmp_path / 'ran'} 0",), countdown=86400)
    becomes(stack, job, "RECEIVED")
    for name in ("beat", "clock", "worker", "broker"):
        stack.down(name)
    revoke(stack, job, terminate="true")
    row = running.row(job)
    assert (row.state, row.events.get().by) == ("cancelled", "flower (Flower)")
    stack.down("flower")
    for name in ("broker", "worker", "clock", "beat", "flower"):
        stack.up(name)
    stack.wait_ready(["broker"])
    stack.wipe_broker()
    stack.wait_ready()
    Job.objects.filter(pk=job.id).update(run_at=timezone.now())
    running.finish(probes.alone.delay("ok"))
    assert running.row(job).state == "cancelled"
    assert not (tmp_path / "ran").exists()


def is_cancelled(made: Live, job: Any) -> bool:
    return bool(made.row(job).state == "cancelled")


def test_a_revoke_outlives_restarts_and_says_who_asked(tmp_path: Path, django_db_blocker: Any) -> None:
    """Two wait for their time and one runs when Maria, one of two who may log in, revokes them."""
    env = {"FLOWER_BASIC_AUTH": "olga:one,maria:two"}
    with started(tmp_path, without={"web"}, env=env) as made, pointed(made, django_db_blocker):
        stack = made.stack
        waits = probes.alone.apply_async((f"write {tmp_path / 'ran'} 0",), countdown=3600)
        later = probes.alone.apply_async((f"write {tmp_path / 'ran'} 0",), countdown=86400)
        runs = probes.alone.delay("sleep 600")
        for job, state in ((waits, "RECEIVED"), (later, "RECEIVED"), (runs, "STARTED")):
            becomes(stack, job, state)
        for job in (waits, later, runs):
            ask(stack, f"task/revoke/{job.id}?terminate=true", "POST", login="maria:two")
            until(partial(is_cancelled, made, job), f"{job} is cancelled")
            assert made.row(job).events.get().by == "maria (Flower)"
        for name in ("flower", "worker", "broker", "clock"):
            stack.down(name)
            stack.up(name)
        stack.wait_ready()
        Job.objects.filter(pk__in=[waits.id, later.id]).update(run_at=timezone.now())  # they would be due
        after = probes.alone.delay("ok")
        made.finish(after)
        becomes(stack, after, "SUCCESS")
        assert [made.row(job).state for job in (waits, later, runs)] == ["cancelled"] * 3
        assert [made.row(job).token for job in (waits, later, runs)] == [0, 0, 1]
        assert not (tmp_path / "ran").exists()


def command_lines() -> str:
    """What `ps` shows to everybody on this machine."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_text().replace("\0", " "))
    return "\n".join(found)


def test_a_flower_that_only_shows_changes_nothing(tmp_path: Path, django_db_blocker: Any) -> None:
    env = {"FLOWER_READ_ONLY": "true"}
    with started(tmp_path, without={"web", "worker"}, env=env) as made, pointed(made, django_db_blocker):
        job = probes.alone.apply_async(("ok",), countdown=86400)
        becomes(made.stack, job, "RECEIVED")
        with pytest.raises(HTTPError, match="403"):
            revoke(made.stack, job)
        assert made.row(job).state == "scheduled"
        assert "flower" in command_lines()
        assert made.stack.installation.flower_auth.partition(":")[2] not in command_lines()


def test_when_the_broker_dies_events_are_lost_and_nothing_waits_for_it(running: Live) -> None:
    ids = probes.shared.enqueue_many([("sleep 0.1",)] * 40)
    jobs = Job.objects.filter(pk__in=ids)
    until(lambda: jobs.filter(state="succeeded").count() > 5, "the message is being worked on")
    running.stack.down("broker")
    until(lambda: jobs.filter(state="succeeded").count() == len(ids), "the jobs are done without a broker")
    waits = probes.alone.apply_async(("ok",), countdown=86400)
    running.stack.up("broker")
    becomes(running.stack, waits, "RECEIVED")
    assert {running.row(pk).token for pk in ids} == {1}


def test_rabbitmq_carries_the_same(virtual_host: str, tmp_path: Path, django_db_blocker: Any) -> None:
    url = f"amqp://guest:guest@127.0.0.1:5672/{virtual_host}"
    with started(tmp_path, without={"web", "broker"}, broker_url=url) as made, pointed(made, django_db_blocker):
        waits = probes.alone.apply_async(("a secret",), countdown=86400)
        assert becomes(made.stack, waits, "RECEIVED")["args"] == "..."
        first, runs, after = probes.shared.enqueue_many([("ok",), ("sleep 600",), ("ok",)])
        becomes(made.stack, runs, "STARTED")
        revoke(made.stack, waits)
        revoke(made.stack, runs, terminate="true")
        assert [made.finish(pk).state for pk in (waits, runs)] == ["cancelled"] * 2
        for job, state in ((waits, "REVOKED"), (runs, "REVOKED"), (first, "SUCCESS"), (after, "SUCCESS")):
            becomes(made.stack, job, state)
        assert shown(made.stack, after)["name"] == "flower.shared"
