"""POST /jobs/bulk: each of many has its own result, or all are refused."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import ApiCall, Job
from tests.api.callers import Make
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def test_many_go_in_with_a_few_statements(caller: Make) -> None:
    asks = caller()
    calls = [{"task": "probe.ok", "data": {"value": n}, "unique_key": f"k{n}"} for n in range(300)]
    asks.post("/jobs/bulk", {"jobs": calls[:2]})
    with CaptureQueriesContext(connection) as seen:
        answer = asks.post("/jobs/bulk", {"jobs": calls})
    assert (answer.data["created"], answer.data["existing"], answer.data["refused"]) == (298, 2, 0)
    told = [one["sql"] for one in seen if not one["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    inserts = [sql for sql in told if sql.startswith("INSERT")]
    # SQLite takes as many rows a statement as Django finds room for variables in it.
    a_statement = 500 if connection.vendor == "postgresql" else 999 // len(Job._meta.concrete_fields)
    assert len(inserts) == -(-300 // a_statement) + 1  # and the record
    assert len(told) - len(inserts) <= 5  # the key, the time, spent keys, the jobs with these keys, deleted ones


def test_each_of_many_has_its_own_result(caller: Make) -> None:
    kept = make_job(unique_key="kept")
    rows = [
        {"task": "probe.ok", "data": {"value": 1}},
        {"task": "probe.typed", "args": ["x"], "data": {"when": "2030-01-01T00:00Z"}},
        {"task": "probe.ok", "unique_key": "kept"},
        {"task": "jobs.order"},
        {"task": "probe.ok", "unique_key": "twice"},
        {"task": "probe.ok", "unique_key": "twice"},
    ]
    told = caller().post("/jobs/bulk", {"jobs": rows}).data
    assert [one["result"] for one in told["results"]] == [
        *("created", "refused", "existing", "refused", "created", "existing"),
    ]
    assert told["results"][2]["id"] == str(kept.pk)
    assert told["results"][4]["id"] == told["results"][5]["id"]
    assert told["results"][1]["problem"]["errors"][0]["field"] == "data.number"
    assert told["results"][3]["problem"]["status"] == 403
    assert Job.objects.count() == 3


def test_all_or_none_of_many(caller: Make) -> None:
    rows = [{"task": "probe.ok"}, {"task": "probe.ok", "data": {"wrong": 1}}]
    answer = caller().post("/jobs/bulk", {"jobs": rows, "all_or_none": True})
    assert answer.status_code == 422 and answer.data["errors"][0]["field"] == "jobs.1.data"
    assert not Job.objects.exists() and not ApiCall.objects.exists()


def test_all_or_none_counts_a_key_of_anothers_job_as_well(caller: Make) -> None:
    make_job(unique_key="theirs", tenant="a", task="probe.add")
    rows = [{"task": "probe.ok"}, {"task": "probe.ok", "unique_key": "theirs"}]
    asks = caller(tenants=["a"], tasks=["probe.ok"])
    assert asks.post("/jobs/bulk", {"jobs": rows, "all_or_none": True}).status_code == 409
    assert Job.objects.count() == 1
    told = asks.post("/jobs/bulk", {"jobs": rows}).data
    assert [one["result"] for one in told["results"]] == ["created", "refused"] and not told["results"][1]["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"jobs": []}, "jobs"),
        ({"jobs": [{"task": "probe.ok"}] * 1001}, "jobs"),
        ({"jobs": [{"task": "probe.ok", "colour": "red"}]}, "jobs.0.colour"),
    ],
    ids=["none", "more than a thousand", "a name that is not known"],
)
def test_what_is_no_list_of_jobs_is_refused(caller: Make, body: Any, field: str) -> None:
    answer = caller().post("/jobs/bulk", body)
    assert answer.status_code == 422 and answer.data["errors"][0]["field"] == field


def test_words_for_times_are_understood_once_and_are_few(caller: Make) -> None:
    rows = [{"task": "probe.ok", "when": f"in {n} minutes"} for n in range(1, 23)]
    told = caller().post("/jobs/bulk", {"jobs": rows}).data
    assert (told["created"], told["refused"]) == (20, 2)
    assert "pass run_at" in told["results"][-1]["problem"]["detail"]
