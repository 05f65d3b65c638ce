"""Idempotency-Key: once, whoever asks how often, and whatever dies in between."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core import serializers
from django.db import close_old_connections, connection
from django.db.models.functions import Now
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone

from jobs.access import ApiCall, ApiKey, IdempotentRequest
from jobs.api import idempotency
from jobs.ids import new_id
from jobs.models import Job, JobEvent
from notifications import forgetting
from notifications.models import Customer, Payment
from tests.api.callers import Caller, program
from tests.factories import DAY, make_job
from tests.jobs.races import TRANSACTIONAL
from tests.races import needs_postgresql


def cancel(caller: Caller, job: Job, key: str, query: str = "") -> Any:
    return caller.ask("delete", f"jobs/{job.pk}{query}", Idempotency_Key=key)


@pytest.mark.django_db
def test_the_same_request_again_gets_the_same_answer_and_changes_nothing() -> None:
    caller, job = program("jobs:cancel"), make_job()
    first, second = cancel(caller, job, "a"), cancel(caller, job, "a")
    assert first.data == second.data
    assert first.data["receipt"] == "cancelled"
    assert "Idempotent-Replayed" not in first.headers
    assert second["Idempotent-Replayed"] == "true"
    assert JobEvent.objects.count() == ApiCall.objects.count() == 1
    assert cancel(caller, job, "b").data["receipt"] == "finished"


CUSTOMER = {"name": "Alice Zander", "email": "alice@example.com", "phone": "+4930123456"}
PERSONAL = ("Zander", "alice", "30123456")


def customer(caller: Caller, key: str, **said: Any) -> Any:
    return caller.ask("post", "customers", CUSTOMER | said, Idempotency_Key=key)


def kept() -> str:
    return serializers.serialize("json", IdempotentRequest.objects.all())


@pytest.mark.django_db
def test_a_kept_answer_is_read_by_nobody_but_who_has_the_key_and_is_the_same_for_him() -> None:
    caller = program("customers:write", "customers:reveal", "customers:read")
    first = customer(caller, "a")
    assert first.status_code == 201 and first.data["email"] == CUSTOMER["email"]
    row = IdempotentRequest.objects.get()
    assert row.status == 201 and row.headers["Location"] == first["Location"]
    assert not [word for word in PERSONAL if word in kept()]
    said = json.dumps(CUSTOMER).encode()
    assert row.fingerprint != sha256(b"\0".join([b"POST", b"/api/v1/customers", said])).hexdigest()
    again = customer(caller, "a")
    assert (again.status_code, again.content, again["Content-Type"]) == (201, first.content, first["Content-Type"])
    assert Customer.objects.count() == 1
    # All that is in the database, and the server's own secret, open nothing.
    for secret in (settings.SECRET_KEY, ApiKey.objects.get().digest, ApiKey.objects.get().prefix):
        forged = RequestFactory().post("/", headers={"Authorization": f"Bearer {secret}"})
        with pytest.raises(InvalidToken):
            idempotency.Seal(forged, row.caller, row.key).open(row.sealed)


@pytest.mark.django_db
def test_who_is_forgotten_is_in_no_kept_answer_and_nothing_is_done_twice() -> None:
    caller = program("customers:write", "customers:reveal", "customers:read")
    first = customer(caller, "a")
    pk = first.data["id"]
    Payment.objects.create(customer_id=pk, amount=1, currency="EUR", due_on=date(2020, 1, 1), status="paid")
    Payment.objects.update(created_at=timezone.now() - 900 * DAY, closed_at=timezone.now() - 900 * DAY)
    assert forgetting.forget([pk], timezone.now() - 30 * DAY) == 1
    assert IdempotentRequest.objects.get().sealed == ""
    again = customer(caller, "a")
    assert (again.status_code, again["Location"], again["Idempotent-Replayed"]) == (409, first["Location"], "true")
    assert again["Content-Type"] == "application/problem+json" and "answered with 201" in again.data["detail"]
    assert customer(caller, "a", name="Bob").status_code == 422
    assert Customer.objects.count() == 1


@pytest.mark.django_db
def test_a_key_of_another_request_is_refused() -> None:
    caller, job, other = program("jobs:cancel"), make_job(), make_job()
    cancel(caller, job, "a")
    assert cancel(caller, other, "a").status_code == 422
    assert cancel(caller, job, "a", "?reason=other").status_code == 422
    other.refresh_from_db()
    assert other.state == "scheduled"


@pytest.mark.django_db
def test_two_callers_may_take_the_same_key() -> None:
    job = make_job()
    assert cancel(program("jobs:cancel"), job, "a").data["receipt"] == "cancelled"
    assert cancel(program("jobs:cancel"), job, "a").data["receipt"] == "finished"


@pytest.mark.django_db
def test_a_request_at_work_is_told_so_until_it_must_be_dead() -> None:
    caller, job = program("jobs:cancel"), make_job()
    said = cancel(caller, job, "a")
    assert said.status_code == 200
    IdempotentRequest.objects.update(status=None, token=new_id())
    waiting = cancel(caller, job, "a")
    assert (waiting.status_code, waiting["Retry-After"]) == (409, "1")
    IdempotentRequest.objects.update(at=Now() - idempotency.LEASE - timedelta(seconds=1))
    assert cancel(caller, job, "a").status_code == 200


@pytest.mark.django_db
def test_what_was_answered_with_an_error_has_kept_nothing() -> None:
    caller = program("jobs:cancel")
    job = Job(pk=new_id())
    assert cancel(caller, job, "a").status_code == 404
    assert not IdempotentRequest.objects.exists()
    make_job(pk=job.pk)
    assert cancel(caller, job, "a").data["receipt"] == "cancelled"


@pytest.mark.django_db
def test_a_mistake_of_ours_undoes_the_change_and_leaves_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, job = program("jobs:cancel"), make_job()

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("alice@example.com")

    with monkeypatch.context() as patched:
        patched.setattr(ApiCall.objects, "create", broken)
        response = cancel(caller, job, "a")
    assert response.status_code == 500
    assert "alice" not in response.content.decode()
    job.refresh_from_db()
    assert job.state == "scheduled"
    assert not JobEvent.objects.exists()
    assert cancel(caller, job, "a").data["receipt"] == "cancelled"


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["ä", "x" * 256, "a\tb"])
def test_a_key_that_cannot_be_kept_is_refused(key: str) -> None:
    assert cancel(program("jobs:cancel"), make_job(), key).status_code == 422


@needs_postgresql
@TRANSACTIONAL
def test_of_ten_at_the_same_moment_one_is_carried_out() -> None:
    caller, jobs = program("jobs:cancel"), [make_job()]
    began = threading.Barrier(10)

    def ask(_: int) -> Any:
        close_old_connections()
        try:
            began.wait(60)
            return cancel(Caller(caller.key), jobs[0], "a")
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, range(10)))
    assert {one.status_code for one in answers} <= {200, 409}
    assert {one.data["receipt"] for one in answers if one.status_code == 200} == {"cancelled"}
    assert ApiCall.objects.count() == JobEvent.objects.count() == 1


@TRANSACTIONAL
def test_whoever_was_given_up_undoes_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was slow, its key went to another request: two answers, but one change."""
    caller, job = program("jobs:cancel"), make_job()
    real = ApiCall.objects.create

    def robbed(**fields: Any) -> Any:
        IdempotentRequest.objects.update(token=new_id())
        return real(**fields)

    with monkeypatch.context() as patched:
        patched.setattr(ApiCall.objects, "create", robbed)
        assert cancel(caller, job, "a").status_code == 409
    job.refresh_from_db()
    assert job.state == "scheduled"
    assert not ApiCall.objects.exists()


def test_a_request_without_the_header_has_no_key() -> None:
    assert idempotency.key_of(HttpRequest()) == ""


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"], ids=["empty", "a space", "too long", "no ASCII"])
def test_a_key_that_would_protect_nothing_is_refused(key: str) -> None:
    caller, job = program("jobs:cancel"), make_job()
    refused = cancel(caller, job, key)
    assert (refused.status_code, Job.objects.get(pk=job.pk).state) == (422, "scheduled")
    assert "Idempotency-Key" in refused.data["detail"]
