"""Idempotency-Key over a rotation of API keys: a program that tries again with its new key does nothing twice."""

from collections.abc import Callable
from typing import Any

import pytest

from jobs.access import ApiKey, IdempotentRequest
from jobs.api import idempotency, keys
from jobs.models import Job
from tests.api.callers import Caller, program
from tests.factories import HOUR

pytestmark = pytest.mark.django_db
SCOPES = ("jobs:enqueue",)


def rotated(caller: Caller) -> Caller:
    made = keys.rotate(caller.row, HOUR)
    assert made
    row, whole = made
    return Caller(whole, row)


def make(caller: Caller, key: str) -> Any:
    return caller.post("jobs", {"task": "probe.ok"}, Idempotency_Key=key)


def enqueue(caller: Caller, key: str, tenant: str = "clinic") -> Any:
    return caller.post("jobs", {"task": "probe.ok", "tenant": tenant}, Idempotency_Key=key)


def test_the_same_request_with_the_next_key_is_not_carried_out_again() -> None:
    old = program(*SCOPES)
    new, first = rotated(old), make(old, "a")
    again = make(new, "a")
    assert (first.status_code, again.status_code, Job.objects.count()) == (201, 409, 1)
    assert "Ask with that key" in again.data["detail"]
    assert make(old, "a").data == first.data  # within the overlap
    assert make(new, "b").status_code == 201


def test_nor_with_the_one_before() -> None:
    old = program(*SCOPES)
    new = rotated(old)
    assert [make(new, "a").status_code, make(old, "a").status_code, Job.objects.count()] == [201, 409, 1]


@pytest.mark.parametrize("asked", [0, 1, 2, 3])
def test_however_often_it_was_rotated_a_request_is_carried_out_once(asked: int) -> None:
    line = [program(*SCOPES, tenants=["clinic"])]
    for _ in range(3):
        line.append(rotated(line[-1]))
    assert enqueue(line[asked], "a").status_code == 201
    others = [caller for n, caller in enumerate(line) if n != asked]
    assert [enqueue(caller, "a").status_code for caller in others] == [409] * 3
    assert (Job.objects.count(), IdempotentRequest.objects.count()) == (1, 1)


def test_a_long_line_costs_one_query_and_has_an_end(django_assert_num_queries: Callable[..., Any]) -> None:
    first = last = program(*SCOPES)
    for _ in range(101):
        last = rotated(last)
    second = ApiKey.objects.get(replaces=first.row)
    for caller, found in [(first.name, False), (f"key:{second.prefix}", True)]:
        IdempotentRequest.objects.all().delete()
        IdempotentRequest.objects.create(caller=caller, key="a")
        with django_assert_num_queries(1):
            assert idempotency._rotated(last.name, "a") is found


def test_a_key_of_another_tenant_is_not_of_the_line() -> None:
    old = program(*SCOPES, tenants=["clinic"])
    new = rotated(rotated(old))
    assert enqueue(old, "a").status_code == 201
    ApiKey.objects.filter(pk=new.row.pk).update(tenants=["practice"])
    assert enqueue(new, "a", tenant="practice").status_code == 201


def test_what_was_refused_may_be_tried_with_the_next() -> None:
    old = program(*SCOPES)
    new = rotated(old)
    assert old.post("jobs", {"task": "nothing"}, Idempotency_Key="a").status_code == 422
    assert make(new, "a").status_code == 201
    assert IdempotentRequest.objects.count() == 1


def test_the_names_of_strangers_are_their_own() -> None:
    one, other = program(*SCOPES), program(*SCOPES)
    rotated(one)
    assert [make(one, "a").status_code, make(other, "a").status_code, Job.objects.count()] == [201, 201, 2]
