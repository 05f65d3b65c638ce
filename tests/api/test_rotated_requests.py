"""Idempotency-Key over a rotation of API keys: a program that tries again with its new key does nothing twice."""

from typing import Any

import pytest

from jobs.access import IdempotentRequest
from jobs.api import keys
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
