"""Hostile input: each kind is refused with its own 4xx, in bounded time and memory, and nothing is changed."""

import gzip
import json
from typing import Any

import pytest
from django.test import Client

from jobs.access import ApiCall
from jobs.api import bodies
from jobs.models import Job
from tests.api.callers import Caller, program
from tests.factories import make_job

pytestmark = pytest.mark.django_db

ORDER = "/api/v1/jobs"


@pytest.fixture
def caller() -> Caller:
    return program("jobs:read", "jobs:enqueue", "jobs:cancel")


def post(caller: Caller, raw: bytes | str, **more: Any) -> Any:
    kind = more.pop("content_type", "application/json")
    headers = {"Authorization": f"Bearer {caller.key}"} | more.pop("headers", {})
    return caller.client.post(ORDER, data=raw, content_type=kind, headers=headers, **more)


GOOD = {"task": "probe.ok"}
HOSTILE = {
    "not JSON": (b"{", 400),
    "blank": (b" ", 400),
    "not UTF-8": (b'{"task": "\xff"}', 400),
    "a NUL": (json.dumps({"task": "a\x00b"}).encode(), 400),
    "half a surrogate pair": (b'{"task": "\\ud800"}', 400),
    "a NUL in a name": (json.dumps({"a\x00": 1}).encode(), 400),
    "NaN": (b'{"task": "probe.ok", "delay": NaN}', 400),
    "infinity": (b'{"task": "probe.ok", "delay": -Infinity}', 400),
    "a number beyond floats": (b'{"task": "probe.ok", "delay": 1e400}', 400),
    "a number of 10,000 digits": (b'{"task": "probe.ok", "delay": ' + b"9" * 10_000 + b"}", 400),
    "a name twice": (b'{"task": "probe.ok", "task": "probe.sum"}', 400),
    "33 deep": (b"[" * 34 + b"]" * 34, 400),
    "100,000 deep": (b"[" * 100_000 + b"]" * 100_000, 400),
    "100,000 deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
    "too large": (b'{"task": "' + b"x" * bodies.LARGEST + b'"}', 413),
    "a list": (b"[]", 422),
    "a text": (b'"task"', 422),
    "null": (b"null", 422),
    "a name that is not known": (json.dumps(GOOD | {"is_admin": True}).encode(), 422),
    "an operator": (json.dumps(GOOD | {"task__contains": ""}).encode(), 422),
    "a year that no database has": (json.dumps(GOOD | {"run_at": "0000-01-01T00:00:00Z"}).encode(), 422),
    "a year after all": (json.dumps(GOOD | {"run_at": "10000-01-01T00:00:00Z"}).encode(), 422),
}


@pytest.mark.parametrize("raw, status", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused(caller: Caller, raw: bytes, status: int) -> None:
    response = post(caller, raw)
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"]
    assert not ApiCall.objects.exists()


def test_a_body_that_is_no_object_is_told_without_our_names(caller: Caller) -> None:
    assert post(caller, b"[]").json()["errors"][0]["field"] == "body"


@pytest.mark.parametrize("said", [b'{"reason": "x"}', b"not JSON", b"[]", b"null"])
def test_what_an_operation_would_ignore_is_refused(caller: Caller, said: bytes) -> None:
    job = make_job()
    response = caller.client.delete(
        f"/api/v1/jobs/{job.pk}", said, "application/json", headers={"Authorization": f"Bearer {caller.key}"}
    )
    assert (response.status_code, response["Content-Type"]) == (422, "application/problem+json")
    assert "no body" in response.json()["detail"]
    assert Job.objects.get(pk=job.pk).state == "scheduled" and not ApiCall.objects.exists()
    assert caller.ask("delete", f"jobs/{job.pk}", {}).status_code == 200


def test_a_body_of_another_type_or_compressed_is_refused(caller: Caller) -> None:
    assert post(caller, b"task=probe.ok", content_type="application/x-www-form-urlencoded").status_code == 415
    assert post(caller, b"<a/>", content_type="application/xml").status_code == 415
    packed = gzip.compress(b" " * 10_000_000)
    assert post(caller, packed, headers={"Content-Encoding": "gzip"}).status_code == 415


def test_a_body_that_says_it_is_huge_is_not_read(caller: Caller) -> None:
    assert post(caller, b"{}", CONTENT_LENGTH=str(10**12)).status_code == 413


@pytest.mark.parametrize(
    "query",
    [
        "_connector=OR",
        "state__in=failed",
        "order=password",
        "ordering=-id",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=1e3",
        "limit=" + "9" * 5000,
        "limit=5&limit=6",
        "cursor=%00",
        "cursor=__proto__",
        "cursor=W251bGxd",
        "cursor=" + "A" * 501,
        "tenant=%ED%A0%80%00",
    ],
)
def test_a_hostile_query_is_refused(caller: Caller, query: str) -> None:
    response = caller.ask("get", f"jobs?{query}")
    assert 400 <= response.status_code < 500, response.content
    assert response.data["detail"]


def test_a_query_without_end_is_refused(caller: Caller) -> None:
    assert caller.ask("get", "jobs?cursor=" + "x" * 9_000).status_code == 413


@pytest.mark.parametrize("part", ["%00", "..%2f..%2fetc", "1", "x" * 3000, "%ED%A0%80", "' OR 1=1 --"])
def test_a_hostile_path_is_refused(caller: Caller, part: str) -> None:
    response = caller.ask("get", f"jobs/{part}")
    assert response.status_code in (400, 404, 422), response.content
    assert response["Content-Type"] == "application/problem+json"


def test_an_address_with_nothing_behind_it_is_a_problem_too(client: Client) -> None:
    for path in ("/api/v1/nothing", "/api/v2/jobs", "/api/"):
        response = client.get(path)
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_text_in_any_script_is_taken(caller: Caller) -> None:
    """Bidirectional, combined and four-byte letters are names of people, not attacks."""
    for text in ("\u202eabc", "Zoë", "😀", "a\u0301", "नमस्ते"):
        bodies.check({"name": text})
