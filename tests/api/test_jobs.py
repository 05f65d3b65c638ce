"""GET /jobs: which jobs one sees, what one sees of them, and what failed."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from jobs.api.scopes import SCOPES
from jobs.models import Attempt, Job, JobEvent
from tests.api.callers import Make
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db
STATES = ("scheduled", "queued", "running", "succeeded", "failed", "cancelled", "expired")


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [one["id"] for one in answer.data["items"]]


# --- Lists ---


def test_a_page_costs_two_queries_and_no_arguments_are_read(caller: Make, django_assert_num_queries: Any) -> None:
    asks = caller()
    for _ in range(60):
        make_job(kwargs={"secret": "x"})
    with django_assert_num_queries(2) as seen:
        page = asks.get("/jobs?limit=50")
    assert len(page.data["items"]) == 50 and '"kwargs"' not in seen[1]["sql"]
    rest = asks.get(f"/jobs?cursor={page.data['next']}")
    assert len(rest.data["items"]) == 10 and rest.data["next"] is None


def test_each_job_is_on_one_page_also_by_time(caller: Make) -> None:
    made = [str(make_job(due=-MINUTE * (n % 3)).pk) for n in range(7)]
    asks = caller()
    for path in ("/jobs?", "/jobs?state=overdue&", "/jobs?state=waiting&", "/jobs?run_from=2020-01-01T00:00Z&"):
        got: list[str] = []
        cursor: Any = ""
        while cursor is not None:
            page = asks.get(f"{path}limit=2&cursor={cursor.replace('+', '%2B')}")
            got, cursor = got + ids(page), page.data["next"]
        assert sorted(got) == sorted(made) and len(got) == len(set(got)), path


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        *((state, {state}) for state in STATES if state not in ("scheduled", "running")),
        ("scheduled", {"scheduled", "due", "retrying"}),
        ("active", {"running", "stalled"}),
        ("running", {"running", "stalled"}),
        ("completed", {"succeeded"}),
        ("Success", {"succeeded"}),
        ("dead", {"failed"}),
        ("canceled", {"cancelled"}),
        ("delayed", {"scheduled", "retrying"}),
        ("waiting", {"due", "queued"}),
        ("pending", {"due", "queued"}),
        ("overdue", {"due"}),
        ("stalled", {"stalled"}),
        ("retrying", {"retrying"}),
    ],
)
def test_states_by_the_words_of_other_systems_too(caller: Make, word: str, wanted: set[str]) -> None:
    made = {state: make_job(state, due=HOUR) for state in STATES}
    made["due"] = make_job(due=-HOUR)
    made["stalled"] = make_job("running", lease="over")
    made["retrying"] = make_job(due=HOUR, failures=1)
    names = {str(job.pk): name for name, job in made.items()}
    assert {names[pk] for pk in ids(caller().get(f"/jobs?state={word}"))} == wanted


@pytest.mark.parametrize(
    "query",
    [
        *("queue=messages", "task=probe.fail", "tenant=a", "tag=booking:1", "signature=ValueError", "search=key-1"),
        *("run_from=2040-01-01T00:00:00Z", "ids={pk}"),
    ],
)
def test_filters(caller: Make, query: str) -> None:
    make_job()
    said: dict[str, Any] = {"queue": "messages", "task": "probe.fail", "tenant": "a", "correlation_id": "booking:1"}
    said |= {"signature": "ValueError", "unique_key": "key-1", "run_at": "2041-01-01T00:00:00Z"}
    wanted = make_job("failed", **said)
    assert ids(caller().get(f"/jobs?{query.format(pk=wanted.pk)}")) == [str(wanted.pk)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=funny", "There are"),
        ("colour=red", "There are: cursor"),
        ("limit=0", "greater"),
        ("limit=201", "less"),
        ("cursor=nonsense", "next"),
        ("cursor=2024-01-01T00:00:00~018f0000-0000-7000-8000-000000000000&state=overdue", "next"),
        ("cursor=0001-01-01T00:00:00%2B14:00~018f0000-0000-7000-8000-000000000000&state=overdue", "next"),
        ("run_from=2024-01-01T00:00:00", "timezone"),
        ("run_from=0001-01-01T00:00:00%2B14:00", "1970"),
        ("ids=nonsense", "UUID"),
        ("&".join(["ids=018f0000-0000-7000-8000-000000000000"] * 51), "at most 50"),
        ("run_until=0.5", "is a number"),
        ("state=failed&state=running", "give it once"),
        ("kwargs__contains=x", "no parameter"),
    ],
)
def test_a_list_that_cannot_be_told_says_why(caller: Make, query: str, words: str) -> None:
    answer = caller().get(f"/jobs?{query}")
    assert answer.status_code == 422 and words in answer.data["detail"], answer.data


def test_the_address_of_a_job_is_an_id(caller: Make) -> None:
    assert caller().get("/jobs/17").status_code == 404
    nowhere = Client(enforce_csrf_checks=True).post("/api/v1/jobs/17/retry", "{}", content_type="application/json")
    assert (nowhere.status_code, nowhere["Content-Type"]) == (404, "application/problem+json")
    assert caller().get(f"/jobs/{uuid.uuid4()}").status_code == 404


# --- Whose ---


@pytest.mark.parametrize(
    "limits", [{"queues": ["default"]}, {"tasks": ["probe.ok"]}, {"tenants": ["a"]}], ids=["queue", "task", "tenant"]
)
def test_jobs_of_others_are_not_there(caller: Make, limits: Any) -> None:
    mine = make_job(tenant="a", due=HOUR)
    other = make_job("failed", queue="messages", task="probe.fail", tenant="b")
    asks = caller(**limits)
    assert ids(asks.get("/jobs")) == [str(mine.pk)] and ids(asks.get("/jobs/failed")) == []
    assert asks.get("/jobs/failed/groups").data == {"items": [], "more": False}
    for verb, path, body in (
        *(("GET", "", None), ("DELETE", "", None), ("POST", "/retry", {}), ("POST", "/run-now", {})),
        *(("POST", "/reschedule", {"delay": 5}), ("POST", "/reprioritise", {"priority": "low"})),
    ):
        answer = asks.ask(verb, f"/jobs/{other.pk}{path}", body)
        assert answer.status_code == 404, (verb, path)
        assert answer.data["detail"] == "There is no such job, or not for this key."
    assert Job.objects.get(pk=other.pk).state == "failed" and not JobEvent.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "body", "scope"),
    [
        ("GET", "", None, "jobs:read"),
        ("GET", "/{pk}", None, "jobs:read"),
        ("GET", "/failed", None, "jobs:read"),
        ("GET", "/failed/groups", None, "jobs:read"),
        ("GET", "/orders", None, "jobs:read"),
        ("POST", "", {"task": "probe.ok"}, "jobs:enqueue"),
        ("POST", "/bulk", {"jobs": [{"task": "probe.ok"}]}, "jobs:enqueue"),
        ("DELETE", "/{pk}", None, "jobs:cancel"),
        ("POST", "/{pk}/retry", {}, "jobs:retry"),
        ("POST", "/{pk}/run-now", {}, "jobs:postpone"),
        ("POST", "/{pk}/reschedule", {"delay": 1}, "jobs:postpone"),
        ("POST", "/{pk}/reprioritise", {"priority": "low"}, "jobs:reprioritise"),
    ],
)
def test_each_operation_needs_its_scope_and_no_other(
    caller: Make, method: str, path: str, body: Any, scope: str
) -> None:
    job = make_job("failed" if path.endswith("retry") else "scheduled", due=HOUR)
    where = f"/jobs{path.format(pk=job.pk)}"
    assert caller(set(SCOPES) - {scope}).ask(method, where, body).status_code == 403
    assert caller({scope}).ask(method, where, body).status_code in (200, 201)


def test_a_key_may_no_more_than_who_made_it(caller: Make) -> None:
    user = User.objects.create_user("olga", is_staff=True)
    asks = caller(by=user)
    assert asks.get("/jobs").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    assert asks.get("/jobs").status_code == 200


# --- One ---


def test_a_job_tells_its_whole_story(caller: Make, worker: InProcessWorker, django_assert_num_queries: Any) -> None:
    asks = caller()
    pk = asks.post("/jobs", {"task": "probe.long", "data": {"steps": 5}}).data["id"]
    worker.run_due()
    asks.post(f"/jobs/{pk}/run-now", {"reason": "in a hurry"})
    worker.run_due()
    with django_assert_num_queries(4):
        told = asks.get(f"/jobs/{pk}").data
    assert (told["state"], told["attempts"], told["result"]) == ("succeeded", 2, [3, 4])
    assert told["progress"] == {"done": 5, "total": 5, "note": ""} and told["data"] == {"steps": 5}
    assert [line.split()[-2:] for line in told["log"]][-1] == ["step", "4"]
    (attempt,) = told["history"]
    assert (attempt["number"], attempt["outcome"], attempt["error"]) == (1, "errored", "Flaky: broke down")
    assert "broke down" in attempt["traceback"]
    (event,) = told["events"]
    assert (event["by"], event["verb"], event["reason"]) == (asks.name, "run_now", "in a hurry")


def test_arguments_and_results_are_for_those_who_may_see_them(caller: Make) -> None:
    job = make_job("succeeded", args=["geheim"], kwargs={"name": "geheim"}, result="geheim", checkpoint="geheim")
    Attempt.objects.create(job=job, number=1, outcome="errored", error="E: x", traceback="geheim", exception="a.E")
    told = caller({"jobs:read"}).get(f"/jobs/{job.pk}")
    assert "geheim" not in told.content.decode() and told.data["revealed"] is False
    assert caller({"jobs:read", "jobs:reveal"}).get(f"/jobs/{job.pk}").content.decode().count("geheim") == 5


# --- What failed, and what there is ---


def test_what_failed_and_what_failed_alike(caller: Make, worker: InProcessWorker) -> None:
    asks = caller()
    for text in ("no room 17", "no room 18", "shut"):
        asks.post("/jobs", {"task": "probe.fail", "data": {"text": text}})
    worker.run_due()
    assert len(ids(asks.get("/jobs/failed"))) == 3
    groups = asks.get("/jobs/failed/groups").data["items"]
    assert [(one["signature"], one["count"], one["tasks"]) for one in groups] == [
        ("Flaky: no room <n>", 2, ["probe.fail"]),
        ("Flaky: shut", 1, ["probe.fail"]),
    ]
    assert len(ids(asks.get("/jobs/failed?signature=Flaky%3A%20no%20room%20%3Cn%3E"))) == 2


def test_the_kinds_of_jobs_with_the_schema_of_their_arguments(caller: Make) -> None:
    kinds = {one["task"]: one for one in caller().get("/jobs/types").data["items"]}
    assert kinds["probe.typed"]["arguments"] == {
        "type": "object",
        "properties": {"number": {"type": "integer"}, "when": {"type": "string", "format": "date-time"}},
        "required": ["number", "when"],
        "additionalProperties": False,
    }
    assert kinds["probe.ok"]["arguments"]["properties"]["note"] == {"type": "string", "default": ""}
    assert kinds["probe.flaky"]["max_attempts"] == 3 and "jobs.order" not in kinds and "probe.plain" not in kinds
    assert [one["task"] for one in caller(tasks=["probe.ok"]).get("/jobs/types").data["items"]] == ["probe.ok"]


@pytest.mark.parametrize("when", ["", " ", "soonish"])
def test_words_that_say_no_time_are_refused(caller: Make, when: str) -> None:
    job = make_job(due=HOUR)
    assert caller().post(f"/jobs/{job.pk}/reschedule", {"when": when}).status_code == 422
