"""What somebody makes and changes who has one tenant of two: theirs alone."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from notifications.models import (
    Booking,
    BulkChange,
    Customer,
    ReminderRule,
)
from tests.factories import make_booking
from tests.jobs.test_scopes import client_of, person
from tests.notifications.two_tenants import AT, ONE, SECRET, TWO, limited, olga as olga

pytestmark = pytest.mark.django_db


# --- What one makes ---


def booking_form(whose: int, **fields: Any) -> dict[str, Any]:
    said = {
        "customer": whose,
        "service": "Cut",
        "location": "",
        "time_zone": "UTC",
        "external_id": "",
        "minutes": 60,
    }
    return said | {"wall_0": f"{AT:%Y-%m-%d}", "wall_1": "10:00"} | fields


def test_nobody_books_for_another_tenants_customer(olga: Client) -> None:
    theirs = Customer.objects.create(tenant=TWO, name=SECRET, email="z@example.com")
    answer = olga.post(reverse("admin:notifications_booking_add"), booking_form(theirs.pk))
    assert answer.status_code == 200 and not Booking.objects.exists()
    url = reverse("admin:notifications_booking_add")
    errors = [olga.post(url, booking_form(pk)).context["errors"] for pk in (theirs.pk, 999_999)]
    assert errors[0] == errors[1], "as if there were no such customer"


def test_a_booking_keeps_its_tenant_for_who_sees_all() -> None:
    ours, theirs = (Customer.objects.create(tenant=t, name=t, email=f"{t}@example.com") for t in (ONE, TWO))
    boss = client_of(person("Manager"))
    booking = make_booking(ours)
    url = reverse("admin:notifications_booking_change", args=[booking.pk])
    answer = boss.post(url, booking_form(theirs.pk))
    assert "belongs to another tenant" in answer.content.decode()
    booking.refresh_from_db()
    assert booking.customer_id == ours.pk


CUSTOMER = {"name": "New", "email": "new@example.com", "locale": "en", "time_zone": "UTC"} | {
    f"{prefix}-{what}_FORMS": "0" for prefix in ("consents", "consent_events") for what in ("TOTAL", "INITIAL")
}


@pytest.mark.parametrize(
    ("tenants", "on", "said", "made"),
    [
        ([ONE], False, None, ONE),
        ([ONE], False, TWO, ONE),
        ([ONE, TWO], False, TWO, TWO),
        ([ONE, TWO], False, "three", None),
        ([ONE, TWO], False, None, None),
        ([], False, "three", ""),
        ([], True, "three", "three"),
        ([], True, "", ""),
    ],
)
def test_a_new_customer_is_of_the_tenant_of_who_makes_it(
    settings: Any, tenants: list[str], on: bool, said: str | None, made: str | None
) -> None:
    settings.TENANTS = on
    client = limited("Manager", tenants)
    url = reverse("admin:notifications_customer_add")
    asked = 'name="tenant"' in client.get(url).content.decode()
    assert asked is (len(tenants) > 1 or on)
    client.post(url, CUSTOMER | ({} if said is None else {"tenant": said}))
    assert list(Customer.objects.values_list("tenant", flat=True)) == ([] if made is None else [made])


def test_two_customers_of_a_tenant_have_not_the_same_id_and_it_is_said(olga: Client) -> None:
    Customer.objects.create(tenant=ONE, name="x", external_id="C-1")
    Customer.objects.create(tenant=TWO, name="x", external_id="C-2")
    url = reverse("admin:notifications_customer_add")
    again = olga.post(url, CUSTOMER | {"external_id": "C-1"})
    assert "There is one with this external id already." in again.content.decode()
    assert olga.post(url, CUSTOMER | {"external_id": "C-2"}).status_code == 302


def test_a_new_rule_is_of_the_tenant_of_who_makes_it_and_plans_nothing_for_others(olga: Client) -> None:
    ones, twos = (make_booking(Customer.objects.create(tenant=t, name=t, email=f"{t}@example.com")) for t in (ONE, TWO))
    said = {"name": "Mine", "active": "on", "message": "booking_upcoming", "level": 0, "channels_0": "email"}
    said |= {"anchor": "booking_start", "offset_0": "5", "offset_1": "hours", "offset_2": "before", "quiet": "later"}
    said |= {"repeat_times": 0, "overrides-TOTAL_FORMS": 0, "overrides-INITIAL_FORMS": 0, "tenant": TWO}
    url = reverse("admin:notifications_reminderrule_add")
    page = olga.post(url, said)
    assert page.status_code == 200 and page.context["preview"].looked_at == 1, page.context.get("errors")
    olga.post(url, said | {"_seen": page.context["preview"].fingerprint})
    rule = ReminderRule.objects.get(name="Mine")
    assert rule.tenant == ONE and Job.objects.get(task="notifications.apply_rule").tenant == ONE
    assert ones.tenant != twos.tenant


# --- Many at once ---


def sure(page: Any) -> dict[str, Any]:
    """What the page of a preview posts."""
    return {"_seen": page.context["seen"], "_token": page.context["token"], "_confirm": "yes"}


def test_a_change_to_many_is_made_of_ones_own_bookings_whatever_is_posted(olga: Client) -> None:
    for tenant in (ONE, TWO):
        make_booking(Customer.objects.create(tenant=tenant, name=tenant), location="Clinic")
    said = {"kind": "cancel", "location": "Clinic", "reason": "pipe", "tenant": TWO}
    page = olga.post(reverse("admin:notifications_bulkchange_add"), said)
    assert page.context["preview"].bookings == 1
    olga.post(reverse("admin:notifications_bulkchange_add"), said | sure(page))
    assert BulkChange.objects.get().tenant == ONE


def test_who_has_several_tenants_changes_the_bookings_of_one_at_a_time() -> None:
    chosen = [make_booking(Customer.objects.create(tenant=tenant, name=tenant)) for tenant in (ONE, TWO)]
    client, url = limited("Manager", [ONE, TWO]), reverse("admin:notifications_booking_changelist")
    said: dict[str, Any] = {"action": "cancel_many", "_selected_action": [str(one.pk) for one in chosen]}
    refused = client.post(url, said, follow=True)
    assert "several tenants" in refused.content.decode()
    taken = client.post(url, said | {"_selected_action": [str(chosen[1].pk)]})
    assert "bulkchange/add" in taken["Location"]
    assert client.get(taken["Location"]).context["form"]["tenant"].value() == TWO
