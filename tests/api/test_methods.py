"""Methods and addresses that there are not: a problem, with what there is."""

import json
from typing import Any

import pytest
from django.test import Client

from jobs.api.problems import MEDIA
from tests.api.callers import Caller, program
from tests.api.described import OPERATIONS
from tests.factories import make_job

pytestmark = pytest.mark.django_db
BODY = {"content_type": "application/json"}


@pytest.fixture
def caller() -> Caller:
    return program("jobs:read", "jobs:enqueue", "jobs:cancel")


def allowed(response: Any) -> set[str]:
    return set(response["Allow"].split(", "))


@pytest.mark.parametrize("method", ["patch", "put", "delete", "trace"])
def test_a_method_that_an_address_does_not_take_is_a_problem_with_those_it_takes(caller: Caller, method: str) -> None:
    response = caller.ask(method, "jobs")
    assert (response.status_code, response["Content-Type"]) == (405, MEDIA)
    assert allowed(response) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert response.data["status"] == 405 and method.upper() in response.data["detail"]


def test_every_address_tells_what_it_takes() -> None:
    for one in OPERATIONS:
        told = Client().options(one.address())
        assert (told.status_code, told.content) == (204, b"") and one.method.upper() in allowed(told), one.path
        assert ("HEAD" in allowed(told)) == ("GET" in allowed(told))


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/workers", "/health/queues"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_probes_are_only_looked_at(path: str, method: str) -> None:
    strict = Client(enforce_csrf_checks=True)  # as a browser, or curl: no page about cookies
    response = strict.generic(method.upper(), path)
    assert (response.status_code, response["Content-Type"]) == (405, MEDIA)
    assert allowed(response) == allowed(strict.options(path)) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
def test_the_description_is_only_looked_at(path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    response = strict.post(path)
    assert (response.status_code, response["Content-Type"]) == (405, MEDIA)
    told = strict.options(path)
    assert (told.status_code, told.content, allowed(told)) == (204, b"", {"GET", "HEAD", "OPTIONS"})


@pytest.mark.parametrize("code", [200, 401, 404])
def test_head_is_get_without_its_body(caller: Caller, code: int) -> None:
    job = make_job()
    asks = Caller("pk_0123456789_wrong", None) if code == 401 else caller
    path = f"jobs/{job.pk}" if code != 404 else "jobs/0195f0a2-e5b0-7cc0-8e0c-111111111111"
    got, head = asks.ask("get", path), asks.ask("head", path)
    assert (got.status_code, head.status_code) == (code, code)
    assert head.content == b"" and int(head["Content-Length"]) == len(got.content)
    assert head["Content-Type"] == got["Content-Type"]


def test_head_of_what_can_only_be_changed_is_none(caller: Caller) -> None:
    job = make_job()
    response = caller.ask("head", f"jobs/{job.pk}/retry")
    assert (response.status_code, allowed(response), response.content) == (405, {"OPTIONS", "POST"}, b"")


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/v1/jobs/no-id", "/api/v2/jobs"])
@pytest.mark.parametrize("method", ["get", "post", "options", "delete"])
def test_an_address_that_there_is_not_is_a_problem(caller: Caller, path: str, method: str) -> None:
    response = caller.ask(method, path)
    assert (response.status_code, response["Content-Type"], response.data["status"]) == (404, MEDIA, 404)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_slash_too_many_is_told(caller: Caller, method: str) -> None:
    response = caller.ask(method, "/api/v1/jobs/")
    assert (response.status_code, response["Content-Type"]) == (404, MEDIA)
    assert "no slash at its end: /api/v1/jobs" in response.data["detail"]
    assert "slash" not in caller.ask(method, "/api/v1/nothing/").data["detail"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (400, {"data": '{"task": ', **BODY}),
        (400, {"data": b"\xff", **BODY}),
        (413, {"data": json.dumps({"task": "x" * 1024 * 1024}), **BODY}),
        (415, {"data": "task=probe.ok", "content_type": "application/x-www-form-urlencoded"}),
        (415, {"data": {"task": "probe.ok"}}),
        (415, {"data": "{}", **BODY, "headers": {"Content-Encoding": "gzip"}}),
    ],
    ids=["no JSON", "no UTF-8", "too large", "a form", "with files", "compressed"],
)
def test_a_body_that_is_not_taken_is_a_problem(caller: Caller, code: int, said: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {caller.key}"} | said.pop("headers", {})
    response = caller.client.post("/api/v1/jobs", headers=headers, **said)
    assert (response.status_code, response["Content-Type"], response.json()["status"]) == (code, MEDIA, code)
