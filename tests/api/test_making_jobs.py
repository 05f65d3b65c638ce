"""POST /jobs: what one says becomes a row, or is refused with the field and what to do."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jobs import aliases, pruner, registry
from jobs.models import ApiCall, Job, UniqueKey
from tests.api.callers import Make
from tests.conftest import InProcessWorker
from tests.factories import DAY, MINUTE, make_job
from tests.probes import RAN

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)  # to which words are understood


def test_a_job_that_is_asked_for_runs(caller: Make, worker: InProcessWorker) -> None:
    RAN.clear()
    answer = caller().post("/jobs", {"task": "probe.ok", "data": {"value": 7, "note": "x"}, "tag": "booking:17"})
    assert answer.status_code == 201 and answer["Location"] == f"/api/v1/jobs/{answer.data['id']}"
    assert (answer.data["state"], answer.data["tag"]) == ("scheduled", "booking:17")
    worker.run_due()
    assert RAN == [("ok", 7)]
    assert caller().get(answer["Location"]).data["result"] == 7


def test_nothing_is_written_for_a_job_but_the_job_and_the_record(caller: Make) -> None:
    asks = caller()
    with CaptureQueriesContext(connection) as seen:
        asks.post("/jobs", {"task": "probe.ok"})
    told = [one["sql"].split()[0] for one in seen if not one["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert sorted(told) == ["INSERT", "INSERT", "SELECT", "SELECT"]  # the key, the job, the job as it is, the record
    assert ApiCall.objects.get().operation == "create_job"


@pytest.mark.parametrize(
    ("said", "column", "value"),
    [
        ({"queue": "messages"}, "queue", "messages"),
        ({"priority": "HIGH"}, "priority", 10),
        ({"priority": 20, "priority_scale": "ours"}, "priority", 20),
        ({"priority": 1, "priority_scale": "ten"}, "priority", 20),
        ({"priority": 9, "priority_scale": "redis"}, "priority", 1),
        ({"options": {"priority": 10}, "priority_scale": "ours"}, "priority", 10),
        ({"options": {"priority": "low"}}, "priority", 1),
        ({"unique_key": "k"}, "unique_key", "k"),
        ({"options": {"jobId": "welcome-7"}}, "unique_key", "welcome-7"),
        ({"max_attempts": 9}, "max_attempts", 9),
        ({"options": {"attempts": 5}}, "max_attempts", 5),
        ({"timeout": 30}, "options", {"time_limit": 30.0}),
        ({"options": {"timeout": 60_000}}, "options", {"time_limit": 60.0}),
        ({"tag": "booking:1"}, "correlation_id", "booking:1"),
        ({"concurrency_key": "venue:7"}, "concurrency_key", "venue:7"),
        ({"tenant": "north"}, "tenant", "north"),
        ({"options": {"removeOnFail": False, "removeOnComplete": False}}, "state", "scheduled"),
        ({"args": [3]}, "args", [3]),
    ],
    ids=str,
)
def test_what_is_said_stands_in_the_row(caller: Make, said: dict[str, Any], column: str, value: Any) -> None:
    assert caller().post("/jobs", {"task": "probe.ok"} | said).status_code == 201
    assert getattr(Job.objects.get(), column) == value


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ({"delay": 90}, timedelta(seconds=90)),
        ({"delay_ms": 1500}, timedelta(seconds=1.5)),
        ({"options": {"delay": 60_000}}, MINUTE),
        ({"when": "in 30 minutes"}, timedelta(minutes=30)),
        ({"run_at": "2031-01-31T09:00:00+01:00"}, None),
        ({}, timedelta()),
    ],
    ids=str,
)
def test_times_are_seconds_moments_or_words_and_milliseconds_only_where_it_says_so(
    caller: Make, said: dict[str, Any], after: timedelta | None
) -> None:
    before = timezone.now()
    told = caller().post("/jobs", {"task": "probe.ok"} | said).data
    wanted = parse_datetime(said["run_at"]) if after is None else before + after
    assert wanted is not None
    until = wanted if after is None else timezone.now() + after
    assert wanted - SECOND <= Job.objects.get(pk=told["id"]).run_at <= until + SECOND


@pytest.mark.parametrize("said", [3600, "2031-01-31T09:00:00Z"])
def test_a_job_may_be_of_no_use_after_some_time(caller: Make, said: Any) -> None:
    assert caller().post("/jobs", {"task": "probe.ok", "expires": said}).data["expires_at"]


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"task": "no.such"}, "task", "GET /jobs/types"),
        ({"task": "", "type": ""}, "task", "say which"),
        ({"type": "probe.ok"}, "task", "once"),
        ({"task": "probe.plain"}, "task", "no durable task"),
        ({"data": {"wrong": 1}}, "data", "unexpected keyword argument 'wrong'"),
        ({"task": "probe.typed"}, "data", "missing"),
        ({"task": "probe.typed", "args": ["x"], "data": {"when": "2030-01-01T00:00Z"}}, "data.number", "integer"),
        ({"task": "probe.typed", "args": [1], "data": {"when": "noon"}}, "data.when", "datetime"),
        ({"task": "probe.total", "args": [[1, "x"]]}, "data.values.1", "integer"),
        ({"data": {"note": "x" * 70_000}}, "data", "at most 65536"),
        ({"queue": "nowhere"}, "queue", "Known: "),
        ({"queue": "clock"}, "queue", "ticks"),
        ({"priority": 5}, "priority_scale", "1 is first on one"),
        ({"priority": "5"}, "priority_scale", "scale"),
        ({"options": {"priority": 10}}, "priority_scale", "scale"),
        ({"priority": "²", "priority_scale": "ours"}, "priority", ""),
        ({"priority": "huge"}, "priority", "There are low"),
        ({"priority": 21, "priority_scale": "ours"}, "priority", "from 1 to 20"),
        ({"priority": True}, "priority", ""),
        ({"priority": 5, "priority_scale": "mine"}, "priority_scale", "ours"),
        ({"run_at": "2031-01-31T09:00:00"}, "run_at", "timezone"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at", "between 1970"),
        ({"run_at": "9999-12-31T23:59:59-12:00"}, "run_at", "2200"),
        ({"run_at": 1_900_000_000}, "run_at", "is a number"),
        ({"run_at": "1900000000.5"}, "run_at", "is a number"),
        ({"when": "yesterday"}, "when", "past"),
        ({"when": "soonish"}, "when", "not understood"),
        ({"delay": -1}, "delay", "greater"),
        ({"delay": 1, "when": "in 1 minute"}, "when", "already"),
        ({"delay": 1, "options": {"delay": 1000}}, "options.delay", "already"),
        ({"unique_key": "a", "options": {"jobId": "b"}}, "options.jobId", "twice"),
        ({"unique_key": ""}, "unique_key", "at least 1"),
        ({"unique_key": "x" * 256}, "unique_key", "at most 255"),
        ({"tag": "x" * 101}, "tag", "at most 100"),
        ({"max_attempts": 0}, "max_attempts", "greater"),
        ({"max_attempts": "3"}, "max_attempts", "integer"),
        ({"delay": "60"}, "delay", "number"),
        ({"timeout": 0}, "timeout", "greater"),
        ({"expires": -5}, "expires", ""),
        ({"options": {"removeOnComplete": True}}, "options.removeOnComplete", "kept for 7 days"),
        ({"options": {"removeOnComplete": 10}}, "options.removeOnComplete", "leave it out"),
        ({"options": {"removeOnFail": 50}}, "options.removeOnFail", "wait for a person"),
        ({"options": {"backoff": {"type": "exponential", "delay": 2000}}}, "options.backoff", "the task says"),
        ({"options": {"repeat": {"cron": "* * * * *"}}}, "options.repeat", "POST /schedules"),
        ({"options": {"lifo": True}}, "options.lifo", "not permitted"),
        ({"colour": "red"}, "colour", "not permitted"),
        ({"state": "running"}, "state", "not permitted"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_done_is_refused_with_the_field_and_what_to_do(
    caller: Make, said: dict[str, Any], field: str, words: str
) -> None:
    answer = caller().post("/jobs", {"task": "probe.ok"} | said)
    assert answer.status_code == 422, answer.data
    assert any(one["field"].startswith(field) and words in one["message"] for one in answer.data["errors"]), answer.data
    assert not Job.objects.exists()


def test_a_number_of_jobs_to_keep_is_taken_where_so_many_are_kept(caller: Make, settings: Any) -> None:
    settings.JOBS_KEEP_COUNT = settings.JOBS_KEEP_COUNT | {"succeeded": 10}
    assert caller().post("/jobs", {"task": "probe.ok", "options": {"removeOnComplete": 10}}).status_code == 201
    assert caller().post("/jobs", {"task": "probe.ok", "options": {"removeOnComplete": 11}}).status_code == 422


def test_attempts_of_the_call_stand_in_place_of_the_tasks(caller: Make, worker: InProcessWorker) -> None:
    asks = caller()
    one = asks.post("/jobs", {"task": "probe.flaky", "max_attempts": 1}).data["id"]
    five = asks.post("/jobs", {"task": "probe.flaky", "options": {"attempts": 5}}).data["id"]  # its own limit is 3
    for n in range(5):
        worker.run_due(timezone.now() + n * DAY)
    assert Job.objects.get(pk=one).token == 1
    assert Job.objects.get(pk=five).token == 5 and Job.objects.get(pk=five).state == "failed"


def test_other_systems_names_mean_our_tasks(caller: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliases, "_names", {})
    aliases.register("probe.ok", "EMAIL_SEND", "send-email")
    for name in ("EMAIL_SEND", "email_send", "Send-Email", "send_email"):
        assert caller().post("/jobs", {"type": name}).data["task"] == "probe.ok"
    with pytest.raises(ValueError, match=r"already"):
        aliases.register("probe.fail", "email-send")


def test_the_second_call_with_a_key_is_the_first_job(caller: Make) -> None:
    asks = caller()
    first = asks.post("/jobs", {"task": "probe.ok", "unique_key": "welcome-7"})
    second = asks.post("/jobs", {"task": "probe.ok", "options": {"jobId": "welcome-7"}})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.data["id"] == second.data["id"] and second["Location"] == first["Location"]
    Job.objects.update(state="succeeded", finished_at=timezone.now() - 30 * DAY)
    pruner.prune()
    third = asks.post("/jobs", {"task": "probe.ok", "unique_key": "welcome-7"})
    assert (third.status_code, third.data["id"], third.data["state"]) == (200, first.data["id"], "succeeded")
    assert not Job.objects.exists() and UniqueKey.objects.count() == 1


def test_a_key_of_a_job_that_is_not_for_the_caller_tells_nothing_of_it(caller: Make) -> None:
    make_job(unique_key="theirs", tenant="a", task="probe.add")
    answer = caller(tenants=["a"], tasks=["probe.ok"]).post("/jobs", {"task": "probe.ok", "unique_key": "theirs"})
    assert answer.status_code == 409 and "id" not in answer.data


@pytest.mark.parametrize("pruned", [False, True], ids=["there", "deleted"])
@pytest.mark.parametrize("bulk", [False, True], ids=["one", "many"])
def test_a_key_of_another_tenants_job_stops_nobody_and_tells_nothing(caller: Make, pruned: bool, bulk: bool) -> None:
    theirs = make_job("failed", unique_key="welcome-7", tenant="b", finished_at=timezone.now() - 800 * DAY)
    if pruned:
        pruner.prune()
    call, asks = {"task": "probe.ok", "unique_key": "welcome-7"}, caller(tenants=["a"])
    if bulk:
        (made,) = asks.post("/jobs/bulk", {"jobs": [call]}).data["results"]
        assert made["result"] == "created"
    else:
        answer = asks.post("/jobs", call)
        made = answer.data
        assert (answer.status_code, made["tenant"]) == (201, "a")
    assert made["id"] != str(theirs.pk)
    again = caller(tenants=["b"]).post("/jobs", call)
    assert (again.status_code, again.data["id"], again.data["state"]) == (200, str(theirs.pk), "failed")


@pytest.mark.parametrize(
    ("limits", "said", "code"),
    [
        ({"tasks": ["probe.ok"]}, {}, 201),
        ({"tasks": ["probe.add"]}, {}, 403),
        ({"queues": ["default"]}, {}, 201),
        ({"queues": ["messages"]}, {}, 403),
        ({"queues": ["messages"]}, {"queue": "messages"}, 201),
        ({"tenants": ["a"]}, {}, 201),
        ({"tenants": ["a"]}, {"tenant": "b"}, 422),
        ({"tenants": ["a", "b"]}, {}, 422),
        ({"tenants": ["a", "b"]}, {"tenant": "b"}, 201),
        ({"scopes": ["jobs:read"]}, {}, 403),
    ],
    ids=str,
)
def test_a_key_makes_only_jobs_within_its_reach(caller: Make, limits: Any, said: dict[str, Any], code: int) -> None:
    answer = caller(**limits).post("/jobs", {"task": "probe.ok"} | said)
    assert answer.status_code == code, answer.data
    if code == 201 and limits.get("tenants"):
        assert answer.data["tenant"] in limits["tenants"]


def test_tasks_that_only_the_application_calls_are_not_for_the_api(caller: Make) -> None:
    """A new task of ours is open or internal by decision: whoever adds one changes this list."""
    internal = {name for name in registry.names() if registry.named(name).internal}
    ours = {
        name for name in registry.names() if registry.named(name).run.__module__.startswith(("jobs.", "notifications."))
    }
    assert ours - internal == {"jobs.warm_cache"}
    for name in sorted(internal):
        assert caller().post("/jobs", {"task": name}).status_code == 403


def test_a_request_that_names_itself_makes_its_job_once(caller: Make) -> None:
    asks = caller()
    first = asks.post("/jobs", {"task": "probe.ok"}, Idempotency_Key="abc")
    second = asks.post("/jobs", {"task": "probe.ok"}, Idempotency_Key="abc")
    assert first.data == second.data and second["Idempotent-Replayed"] == "true" and second.status_code == 201
    assert Job.objects.count() == 1
