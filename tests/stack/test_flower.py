"""Flower shows each job under its own name and id from the moment it waits, and nothing personal beside it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs import announcer, ledger, registry
from jobs.models import Job
from tests.faults.conftest import Mailbox, Scene, until
from tests.stack import flower_probes as probes
from tests.stack.flower import becomes, shown, tasks
from tests.stack.live import Live

pytestmark = pytest.mark.stack

DAY = timedelta(days=1)
STATE = {"ok": "SUCCESS", "flaky": "SUCCESS", "fail": "FAILURE", "snooze": "SUCCESS"}


def test_flower_shows_a_reminder_from_its_booking_to_its_end(running: Live) -> None:
    scene = Scene(running.stack, Mailbox())
    scene.ask("book", 3, 1)
    until(lambda: not scene.open_deliveries(), "the reminders are sent")
    ids = {row[0] for row in scene.ask("report")}
    seen = [becomes(running.stack, pk, "SUCCESS") for pk in ids]
    assert {task["name"] for task in seen} == {"notifications.deliver"}
    assert "example.com" not in json.dumps(tasks(running.stack))


def test_a_job_that_waits_is_shown_with_its_time_and_masked_arguments(running: Live) -> None:
    far = datetime.now(UTC) + 400 * DAY
    job = probes.alone.apply_async(("a secret",), eta=far)
    task = becomes(running.stack, job, "RECEIVED")
    assert (task["name"], datetime.fromisoformat(task["eta"])) == ("flower.alone", far)
    assert (task["args"], task["kwargs"]) == ("...", "...")
    near = datetime.now(UTC) + 300 * DAY
    ledger.reschedule({running.row(job).pk: (near, None)})
    until(lambda: datetime.fromisoformat(shown(running.stack, job)["eta"]) == near, "Flower shows the new time")
    ledger.cancel([running.row(job).pk], "not needed")
    becomes(running.stack, job, "REVOKED")


def test_of_thousands_that_wait_flower_keeps_the_next_and_the_newest(running: Live) -> None:
    before = len(tasks(running.stack))
    following = probes.alone.enqueue_many([("ok",)], countdown=3600)
    crowd = [pk for hours in range(1, 6) for pk in probes.alone.enqueue_many([("ok",)] * 1000, countdown=hours * 9999)]
    for pk in (*following, crowd[0], crowd[-1]):
        becomes(running.stack, pk, "RECEIVED")
    known = tasks(running.stack)
    assert str(crowd[2200]) not in known  # never among the newest, whenever one looked between two thousands
    assert len(known) - before <= 6 * announcer.MOST  # a few looks may each have seen other ones
    Job.objects.filter(task="flower.alone", state="scheduled").delete()


@pytest.mark.parametrize("task", [probes.alone, probes.shared], ids=["alone", "in a shared message"])
def test_each_job_has_events_of_its_own(running: Live, task: Any) -> None:
    ids = dict(zip(STATE, task.enqueue_many([(how,) for how in STATE]), strict=True))
    for how, pk in ids.items():
        seen = becomes(running.stack, pk, STATE[how])
        assert seen["name"] == task.name
        assert seen["worker"].partition("@")[0] in ("worker", "worker2")
        assert seen["sent"] <= seen["received"] <= seen["started"]
        assert (seen["args"], seen["kwargs"], seen["parent_id"]) == ("...", "...", None)
    seen = {how: shown(running.stack, pk) for how, pk in ids.items()}
    assert [bool(seen[how]["retried"]) for how in STATE] == [False, True, False, True]
    assert [seen[how]["retries"] for how in STATE] == [0, 1, 0, 0]
    assert all(seen[how]["runtime"] > 0 for how in STATE if how != "fail")
    assert "ValueError" in seen["fail"]["exception"]
    assert "behave" in seen["fail"]["traceback"]


def test_a_job_that_takes_long_is_seen_to_run_though_it_shares_its_message(running: Live, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first, second = probes.shared.enqueue_many([("ok",), (f"wait {gate}",)])
    becomes(running.stack, first, "SUCCESS")
    becomes(running.stack, second, "STARTED")
    gate.touch()
    becomes(running.stack, second, "SUCCESS")


@pytest.mark.faults  # for its time
def test_a_job_that_came_too_late_is_shown_as_revoked(running: Live) -> None:
    job = probes.alone.apply_async(("ok",), countdown=60, expires=0.5)
    assert becomes(running.stack, job, "REVOKED")["name"] == "flower.alone"


def test_a_job_that_somebody_lets_run_again_is_shown_to_run(running: Live, tmp_path: Path) -> None:
    job, gate = probes.alone.delay("fail"), tmp_path / "gate"
    becomes(running.stack, job, "FAILURE")
    Job.objects.filter(pk=job.id).update(args=[f"wait {gate}"])
    ledger.retry([running.row(job).pk])
    becomes(running.stack, job, "STARTED")
    gate.touch()


def test_what_is_no_job_does_not_clutter_it(running: Live) -> None:
    becomes(running.stack, probes.shared.delay("ok"), "SUCCESS")
    seen = {task["name"] for task in tasks(running.stack).values()}
    assert {name for name in seen if name.startswith("jobs.")} <= set(registry.names()), seen


@pytest.mark.faults
def test_a_flower_that_lost_its_memory_is_told_again_what_waits(running: Live) -> None:
    job = probes.alone.apply_async(("ok",), countdown=86400)
    becomes(running.stack, job, "RECEIVED")
    running.stack.down("flower")
    for file in running.stack.data_dir.glob("flower.db*"):
        file.unlink()
    meanwhile = probes.alone.apply_async(("ok",), countdown=86400)
    running.stack.up("flower")
    running.stack.wait_ready(["flower"])
    assert [becomes(running.stack, one, "RECEIVED")["name"] for one in (job, meanwhile)] == ["flower.alone"] * 2
