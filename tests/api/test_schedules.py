"""/schedules: what recurs is made, told and stopped over the API, and beat makes the jobs that were foretold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from celery import current_app
from cronsim import CronSim
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from jobs import crons
from jobs.models import Job, SchedulePolicy
from jobs.schedules import Slotted, rule_of
from tests.api.callers import Make
from tests.factories import MINUTE

pytestmark = pytest.mark.django_db
NIGHTLY: dict[str, Any] = {"name": "nightly", "task": "probe.ok", "cron": "30 2 * * *", "zone": "Europe/Berlin"}


def make(asks: Any, **said: Any) -> Any:
    answer = asks.post("/schedules", NIGHTLY | said)
    assert answer.status_code == 201, answer.data
    return answer.data


def looked(at: datetime, last: datetime) -> list[datetime]:
    """What beat would run that looks at a time, when its last look was at another."""
    entry = Slotted(PeriodicTask.objects.get(), app=current_app._get_current_object())  # type: ignore[attr-defined]
    entry.model.last_run_at = last
    with time_machine.travel(at, tick=False):
        return next(entry) and entry.occurrences()


def test_beat_runs_what_was_foretold(caller: Make) -> None:
    with time_machine.travel(datetime(2026, 3, 27, 12, tzinfo=UTC), tick=False):
        asks = caller()
        told = make(asks, data={"value": 7}, missed="all", window=86400 * 9)
        runs = asks.get(f"/schedules/{told['id']}/runs?count=4").data
    assert datetime.fromisoformat(told["next_run"]) == datetime.fromisoformat(runs["runs"][0])
    assert runs["runs"] == [
        *("2026-03-28T02:30:00+01:00", "2026-03-29T03:30:00+02:00"),
        *("2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"),
    ]
    assert runs["clock_changes"][0] == {
        "time": "2026-03-29T02:30:00",
        "twice": False,
        "note": "does not exist; it runs later, by as much as the clocks go forward",
    }
    assert runs["clock_changes"][1]["time"] == "2026-10-25T02:30:00" and runs["clock_changes"][1]["twice"]
    made = looked(datetime(2026, 3, 31, 12, tzinfo=UTC), datetime(2026, 3, 27, 12, tzinfo=UTC))
    assert [slot.isoformat() for slot in made] == [
        datetime.fromisoformat(run).astimezone(UTC).isoformat() for run in runs["runs"]
    ]


def test_what_is_said_stands_in_beats_row(caller: Make) -> None:
    told = make(
        caller(), args=[1], queue="messages", priority="high", expires=60, missed="skip", window=5, description="x"
    )
    row = PeriodicTask.objects.get()
    assert (row.args, row.queue, row.priority, row.expire_seconds, row.description) == ("[1]", "messages", 10, 60, "x")
    assert str(row.crontab.timezone) == "Europe/Berlin" and row.crontab.hour == "2"
    policy = SchedulePolicy.objects.get()
    assert (policy.missed, policy.window) == ("skip", timedelta(seconds=5))
    shown = ("cron", "zone", "queue", "priority", "expires", "missed", "window", "args", "enabled", "runs_so_far")
    assert [told[name] for name in shown] == [
        *("30 2 * * *", "Europe/Berlin", "messages", 10, 60, "skip", 5.0, [1], True, 0),
    ]
    assert PeriodicTasks.last_change() is not None


def test_crontab_fields_and_intervals_as_well(caller: Make) -> None:
    asks = caller()
    one = make(asks, name="a", cron=None, crontab={"minute": "30", "hour": "2"})
    two = make(asks, name="b")
    three = make(asks, name="c", cron=None, every=90, starts_at="2031-01-01T00:00:00Z")
    assert one["cron"] == two["cron"] and CrontabSchedule.objects.filter(minute="30", hour="2").count() == 1
    assert three["every"] == 90.0 and three["next_run"] == "2031-01-01T00:00:00Z"
    assert IntervalSchedule.objects.filter(every=90).count() == 1
    assert [row["name"] for row in asks.get("/schedules").data["items"]] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"cron": None}, "cron", "once"),
        ({"every": 5}, "every", "say one"),
        ({"crontab": {"minute": "1"}}, "cron", "once"),
        ({"cron": "0 0 * * *  *"}, "cron", "five fields"),
        ({"cron": "@daily"}, "cron", "five fields"),
        ({"cron": "61 * * * *"}, "cron", "minute"),
        ({"cron": "0 0 1 * 1"}, "cron", "two schedules"),
        ({"cron": "0 0 L * *"}, "cron", "'L' for the day of the month"),
        ({"cron": "0 0 * * 5#3"}, "cron", "does not read"),
        ({"cron": "0 0 * * 7"}, "cron", "'7' for the day of the week"),
        ({"cron": "5/15 * * * *"}, "cron", "'5/15' for the minute"),
        ({"cron": "0 0 30 2 *"}, "cron", "day-of-month"),
        ({"cron": None, "crontab": {"minute": "1 2"}}, "crontab", "five fields"),
        ({"zone": "Mars/Olympus"}, "zone", "Europe/Berlin"),
        ({"zone": "../../etc/passwd"}, "zone", "no zone"),
        ({"cron": None, "every": 0}, "every", "greater"),
        ({"task": "no.such"}, "task", "GET /jobs/types"),
        ({"task": "probe.plain"}, "task", "no durable task"),
        ({"data": {"wrong": 1}}, "data", "unexpected"),
        ({"task": "probe.typed", "args": ["x"], "data": {"when": "2030-01-01T00:00Z"}}, "data.number", "integer"),
        ({"queue": "nowhere"}, "queue", "Known"),
        ({"priority": 5}, "priority_scale", "scale"),
        ({"missed": "maybe"}, "missed", "skip"),
        ({"name": ""}, "name", "at least 1"),
        ({"solar": "sunset"}, "solar", "not permitted"),
    ],
    ids=str,
)
def test_what_has_not_one_meaning_is_refused(caller: Make, said: Any, field: str, words: str) -> None:
    answer = caller().post("/schedules", NIGHTLY | said)
    assert answer.status_code == 422, answer.data
    assert any(one["field"].startswith(field) and words in one["message"] for one in answer.data["errors"]), answer.data
    assert not PeriodicTask.objects.exists()


@pytest.mark.parametrize(
    "text", ["*/15 * * * *", "0 9 * * mon,wed", "0 0 */2 * 1", "0 0 1-10/3 JAN *", "0 22,23 * * 0"]
)
def test_a_cron_text_that_is_taken_means_the_same_to_beat(text: str) -> None:
    """Cronsim walks through a year by itself, beat by its five fields."""
    fields = crons.read(text)
    row = CrontabSchedule(**{name: getattr(fields, name) for name in crons.FIELDS}, timezone="UTC")
    rule, at = rule_of(row.schedule, None), datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    theirs = CronSim(text, at)
    for _ in range(300):
        following = rule.following(at)
        assert following == next(theirs)
        at = following


def test_a_name_is_taken_once(caller: Make) -> None:
    asks = caller()
    make(asks)
    answer = asks.post("/schedules", NIGHTLY)
    assert answer.status_code == 409 and PeriodicTask.objects.count() == 1


def test_what_a_cron_text_means_without_making_anything(caller: Make) -> None:
    asks = caller()
    told = asks.get("/schedules/explain?cron=30%209%20*%20*%201-5&zone=Europe/Berlin&count=3").data
    assert told["explained"] == "At 09:30 on Monday through Friday" and len(told["runs"]) == 3
    assert asks.get("/schedules/explain?every=60").data["explained"].startswith("Every 60 seconds")
    assert asks.get("/schedules/explain?cron=nonsense").status_code == 422
    assert not CrontabSchedule.objects.filter(hour="9").exists() and not PeriodicTask.objects.exists()


def test_a_pause_makes_no_jobs_and_what_it_missed_is_not_made_up_for(caller: Make) -> None:
    asks = caller()
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        told = make(asks, cron=None, every=3600, missed="all")
    PeriodicTask.objects.update(last_run_at=now, total_run_count=3)
    paused = asks.post(f"/schedules/{told['id']}/pause").data
    assert (paused["enabled"], paused["next_run"]) == (False, None)
    assert not PeriodicTask.objects.enabled().exists()
    before = PeriodicTasks.last_change()
    resumed = asks.post(f"/schedules/{told['id']}/resume").data
    assert resumed["enabled"] and resumed["next_run"] and PeriodicTasks.last_change() > before
    row = PeriodicTask.objects.get()
    entry = Slotted(row, app=current_app._get_current_object())  # type: ignore[attr-defined]
    assert entry.last_run_at == row.date_changed  # it begins anew, hours after its last run
    assert asks.post(f"/schedules/{told['id']}/resume").data["enabled"]  # twice is once


def test_one_run_now_is_a_job_as_the_schedule_makes_them(caller: Make) -> None:
    asks = caller()
    told = make(asks, data={"value": 7}, queue="messages", priority="high", expires=60)
    answer = asks.post(f"/schedules/{told['id']}/run")
    assert answer.status_code == 201
    job = Job.objects.get()
    assert (job.task, job.kwargs, job.queue, job.priority) == ("probe.ok", {"value": 7}, "messages", 10)
    assert job.useful_until is not None and MINUTE - job.run_at.resolution <= job.useful_until - job.run_at <= MINUTE
    assert asks.get(answer["Location"]).data["id"] == str(job.pk)


def test_a_schedule_that_is_deleted_is_gone_and_beat_hears_of_it(caller: Make) -> None:
    asks = caller()
    told = make(asks)
    before = PeriodicTasks.last_change()
    assert asks.delete(f"/schedules/{told['id']}").status_code == 204
    assert asks.get(f"/schedules/{told['id']}").status_code == 404
    assert not PeriodicTask.objects.exists() and PeriodicTasks.last_change() > before


def other(**said: Any) -> PeriodicTask:
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    return PeriodicTask.objects.create(**{"name": "other", "interval": every} | said)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, {"task": "probe.plain"}),
        ({}, {"task": "jobs.dispatch"}),
        ({}, {"task": "notifications.reconcile"}),
        ({"tasks": ["probe.fail"]}, {"task": "probe.ok"}),
        ({"queues": ["messages"]}, {"task": "probe.ok"}),
        ({"queues": ["default"]}, {"task": "probe.ok", "queue": "messages"}),
        ({"tenants": ["a"]}, {"task": "probe.ok"}),
    ],
    ids=str,
)
def test_schedules_of_others_and_of_the_application_are_not_there(caller: Make, limits: Any, said: Any) -> None:
    row, asks = other(**said), caller(**limits)
    assert asks.get("/schedules").data["items"] == []
    for method, path in (
        *(("GET", ""), ("GET", "/runs"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/run"), ("DELETE", "")),
    ):
        assert asks.ask(method, f"/schedules/{row.pk}{path}").status_code == 404, (method, path)
    assert PeriodicTask.objects.get().enabled and not Job.objects.exists()


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"scopes": ["schedules:write"]}, 403),
        ({"scopes": ["jobs:enqueue"]}, 403),
        ({"scopes": ["schedules:write", "jobs:enqueue"]}, 201),
        ({"tasks": ["probe.ok"]}, 201),
        ({"tasks": ["probe.fail"]}, 403),
        ({"queues": ["default"]}, 201),
        ({"queues": ["messages"]}, 403),
        ({"tenants": ["a"]}, 403),
    ],
    ids=str,
)
def test_who_makes_schedules_must_be_allowed_to_make_their_jobs(caller: Make, limits: Any, code: int) -> None:
    assert caller(**limits).post("/schedules", NIGHTLY).status_code == code
    assert caller().post("/schedules", {**NIGHTLY, "task": "jobs.order"}).status_code == 403


def test_arguments_are_for_those_who_may_see_them(caller: Make) -> None:
    told = make(caller(), data={"value": "geheim"})
    asks = caller({"schedules:read"})
    assert "geheim" not in asks.get("/schedules").content.decode()
    assert "geheim" not in asks.get(f"/schedules/{told['id']}").content.decode()
    assert asks.post(f"/schedules/{told['id']}/run").status_code == 403


def test_a_list_of_schedules_costs_two_queries(caller: Make, django_assert_max_num_queries: Any) -> None:
    asks = caller()
    for n in range(5):
        make(asks, name=f"n{n}")
    with django_assert_max_num_queries(2):
        assert len(asks.get("/schedules?task=probe.ok&enabled=true").data["items"]) == 5


def test_ones_made_in_the_admin_are_told_too(caller: Make) -> None:
    row = other(task="probe.ok", kwargs='{"value": 7}')
    told = caller().get(f"/schedules/{row.pk}").data
    assert (told["every"], told["missed"], told["data"]) == (5.0, "once", {"value": 7})
