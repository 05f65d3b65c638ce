"""Who may export what: within the scope, masked without the right to know customers, as of the moment of asking."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from jobs import scopes
from jobs.files import Export
from jobs.library import exports, people, sources
from jobs.library.exports import Wanted
from tests.factories import HOUR, alice, make_booking, make_job, make_payment
from tests.jobs.test_scopes import person
from tests.library.exporting import FORMATS, content, customers, rows_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager() -> people.Person:
    return people.of(person("Manager"))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 10)


def test_who_may_not_look_at_rows_may_not_export_them() -> None:
    with pytest.raises(PermissionDenied):
        exports.ask(Wanted(source="customers"), people.of(person("staff")))
    assert not Export.objects.exists()


@pytest.mark.parametrize("source", ["bookings", "payments", "deliveries", "customers"])
@pytest.mark.parametrize("form", FORMATS)
def test_who_may_not_know_customers_gets_them_masked(source: str, form: str, worker: Any) -> None:
    customer = alice(phone="+4915123456789", external_id="alice-crm-77")
    make_booking(customer, external_id="alice-crm-77-b"), make_payment(customer, external_id="alice-crm-77-p")
    export = exports.ask(Wanted(source=source, format=form), people.of(person("Viewer")))  # type: ignore[arg-type]
    worker.run_due()
    found = rows_of(form, content(export))
    assert found
    told = json.dumps(found, default=str, ensure_ascii=False)
    assert not [word for word in ("Ähre", "alice", "23456", "crm-77") if word in told]
    assert export.file is not None
    assert "a•••@e•••.com" in told and not export.file.personal


def test_who_may_know_them_gets_them_for_himself(worker: Any, manager: people.Person) -> None:
    customers(["Alice Ähre"])
    export = exports.ask(Wanted(source="customers"), manager)
    worker.run_due()
    assert "Alice Ähre" in content(export).decode()
    assert export.file is not None and export.file.personal
    assert (export.file.owner_id, export.file.permission) == (manager.user_id, "notifications.reveal_customer")


def test_the_right_is_that_of_the_moment_when_it_was_asked_for(worker: Any) -> None:
    viewer = person("Viewer")
    customers(["Alice Ähre"])
    export = exports.ask(Wanted(source="customers"), people.of(viewer))
    viewer.is_superuser = True
    viewer.save()
    worker.run_due()
    assert "Alice" not in content(export).decode()


def test_jobs_are_exported_within_ones_scope(worker: Any) -> None:
    make_job(queue="default", tenant="a", due=HOUR), make_job(queue="default", tenant="b", due=HOUR)
    make_job(queue="messages", tenant="a", due=HOUR)
    mine = people.Person("Olga", lambda permission: True, scopes.Scope(((("default",), ("a",)),)))
    export = exports.ask(Wanted(source="jobs", columns=["queue", "tenant"]), mine)
    worker.run_due()
    assert rows_of("csv", content(export)) == [["default", "a"]]


def test_customers_are_exported_within_ones_tenants(worker: Any) -> None:
    customers(["Alice"], tenant="a")
    customers(["Bob"], tenant="b")
    mine = people.Person("Olga", lambda permission: True, scopes.Scope(((("default",), ("a",)),)))
    export = exports.ask(Wanted(source="customers", columns=["name"]), mine)
    worker.run_due()
    assert rows_of("csv", content(export)) == [["Alice"]]


def test_what_cannot_be_limited_to_a_scope_is_refused_to_those_who_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replace(sources.named("customers"), name="whole", tenant=None)
    monkeypatch.setitem(sources._registered, "whole", whole)
    limited = people.Person("Olga", lambda permission: True, scopes.Scope(((("default",), ("a",)),)))
    with pytest.raises(PermissionDenied, match="scope"):
        exports.ask(Wanted(source="whole"), limited)


@pytest.mark.parametrize("source", [one for one in sources.known() if one.reveals], ids=lambda source: source.name)
def test_no_personal_field_of_a_customer_goes_without_a_mask(source: sources.Source) -> None:
    personal = {"name", "email", "phone", "webhook_url", "webhook_secret", "external_id", "detail"}
    own = source.name == "customers"
    open_ones = [column for column in source.columns if column.mask is None]
    for column in open_ones:
        path = column.path or column.name
        of_customer = path.startswith("customer__") or own
        assert not (of_customer and path.rpartition("__")[2] in personal), path
