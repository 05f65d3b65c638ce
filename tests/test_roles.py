"""Viewer, Operator, Manager, and who sees whose name."""

import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from config import roles
from jobs.models import Pause, Queue
from notifications import privacy
from notifications.models import Customer, InboxItem, OutboxMessage, ReminderRule, RuleOverride, Suppression
from tests.factories import alice, make_booking, make_job, make_payment

pytestmark = pytest.mark.django_db
SECRETS = ("Alice", "Ähre", "alice@", "example.com", "4915123456789", "See you")


def client_of(role: str) -> Client:
    roles.install()
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def customer() -> Customer:
    made = alice(phone="+4915123456789")
    make_booking(made)
    make_payment(made)
    Suppression.objects.create(
        channel="email", address="alice@example.com", cause="bounce", detail="alice@example.com?"
    )
    OutboxMessage.objects.create(channel="sms", key="1", to="+4915123456789", text="See you, Alice")
    InboxItem.objects.create(customer=made, key="1", title="See you", body="See you, Alice")
    rule = ReminderRule.objects.filter(anchor="booking_start")[0]
    RuleOverride.objects.create(rule=rule, customer=made, active=True)
    return made


def test_installing_twice_changes_nothing_and_keeps_what_the_owner_changed() -> None:
    assert roles.install() == ["Viewer", "Operator", "Manager"]
    Group.objects.get(name="Viewer").permissions.clear()
    assert roles.install() == []
    assert not Group.objects.get(name="Viewer").permissions.exists()


def test_each_role_may_what_the_one_before_it_may() -> None:
    viewer, operator, manager = ({one.pk for one in roles.permissions_of(role)} for role in roles.ROLES)
    assert viewer < operator < manager


PAGES = [
    f"notifications_{name}"
    for name in (
        "customer",
        "booking",
        "payment",
        "delivery",
        "suppression",
        "outboxmessage",
        "inboxitem",
        "reminderrule",
    )
]


@pytest.mark.parametrize("role", ["Viewer", "Operator"])
def test_no_page_shows_names_and_addresses_to_those_who_may_not_see_them(customer: Customer, role: str) -> None:
    client = client_of(role)
    for name in PAGES:
        for path in (reverse(f"admin:{name}_changelist"), _page_of_first(name)):
            page = client.get(path)
            assert page.status_code == 200, path
            assert not [word for word in SECRETS if word in page.content.decode()], path


def test_a_manager_sees_them(customer: Customer) -> None:
    page = client_of("Manager").get(reverse("admin:notifications_customer_changelist")).content.decode()
    assert "Alice Ähre" in page and "alice@example.com" in page


def test_search_finds_the_whole_address_and_no_part_of_it(customer: Customer) -> None:
    client, url = client_of("Operator"), reverse("admin:notifications_customer_changelist")
    counts = [client.get(url, {"q": q}).context["cl"].result_count for q in ("alice@example.com", "Alice Ähre", "ali")]
    assert counts == [1, 1, 0]
    told = client.get(url, {"email__startswith": "a"})
    assert told.status_code in (302, 400)  # a question that would tell letter by letter
    bookings = client.get(reverse("admin:notifications_booking_changelist"), {"customer__email__startswith": "a"})
    assert bookings.status_code in (302, 400)


def test_the_choice_of_customers_is_masked_too(customer: Customer) -> None:
    client = client_of("Operator")
    asked = {"app_label": "notifications", "model_name": "booking", "field_name": "customer", "term": "Alice Ähre"}
    answer = json.loads(client.get(reverse("admin:autocomplete"), asked).content)
    assert [one["text"] for one in answer["results"]] == ["A••• Ä•••"]


def test_an_operator_changes_what_is_not_masked_and_nothing_else(customer: Customer) -> None:
    client, url = client_of("Operator"), reverse("admin:notifications_customer_change", args=[customer.pk])
    form: dict[str, Any] = {
        "locale": "de",
        "time_zone": "Europe/Berlin",
        "channels": "[]",
        "name": "Mallory",
        "email": "m@example.org",
    }
    form |= {f"{kind}-{name}_FORMS": 0 for kind in ("consents", "consent_events") for name in ("TOTAL", "INITIAL")}
    assert client.post(url, form).status_code == 302
    customer.refresh_from_db()
    assert (customer.locale, customer.name, customer.email) == ("de", "Alice Ähre", "alice@example.com")


def test_the_log_of_what_a_manager_did_tells_nobody_a_name(customer: Customer) -> None:
    url = reverse("admin:notifications_customer_change", args=[customer.pk])
    form: dict[str, Any] = {
        "name": "Alice Ähre",
        "email": "alice@example.com",
        "locale": "en",
        "time_zone": "UTC",
        "channels": "[]",
    }
    form |= {f"{kind}-{name}_FORMS": 0 for kind in ("consents", "consent_events") for name in ("TOTAL", "INITIAL")}
    assert client_of("Manager").post(url, form).status_code == 302
    assert LogEntry.objects.get().object_repr == "A••• Ä•••"


def test_outside_of_requests_nothing_is_hidden(customer: Customer) -> None:
    client_of("Viewer").get(reverse("admin:notifications_customer_changelist"))
    assert str(customer) == "Alice Ähre"


def test_an_operator_pauses_a_queue_and_a_viewer_does_not() -> None:
    Queue.objects.create(name="default")
    url = reverse("admin:jobs_queue_changelist")
    act = {"action": "pause", "_selected_action": ["default"], "_confirm": "1", "reason": "moving house"}
    client_of("Viewer").post(url, act)
    assert not Pause.objects.exists()
    client_of("Operator").post(url, act)
    assert Pause.objects.exists()


def test_a_manager_makes_users_but_no_superusers() -> None:
    root = User.objects.create_superuser("root", password="x")
    client = client_of("Manager")
    assert (
        "is_superuser" not in client.get(_user(User.objects.get(username="manager"))).context["adminform"].form.fields
    )
    assert client.post(_user(root), {"username": "mine"}).status_code == 403
    assert client.get(reverse("admin:auth_user_password_change", args=[root.pk])).status_code == 403


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (privacy.email, "alice@example.com", "a•••@e•••.com"),
        (privacy.name, "Alice Ähre", "A••• Ä•••"),
        (privacy.phone, "+4915123456789", "•••89"),
        (privacy.address, "https://example.com/x?y=z", "https://•••"),
        (
            privacy.text,
            "550 <alice@example.com> unknown, call +49 151 23456789",
            "550 <a•••@e•••.com> unknown, call •••89",
        ),
    ],
)
def test_masks(mask, value: str, shown: str) -> None:
    assert mask(value) == shown


def test_pages_ask_no_other_host_and_carry_the_policy(customer: Customer) -> None:
    make_job()
    client = client_of("Manager")
    for path in (reverse("admin:index"), *(reverse(f"admin:{name}_changelist") for name in [*PAGES, "jobs_job"])):
        page = client.get(path)
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval'" in policy and "frame-ancestors 'none'" in policy
        loaded = re.findall(
            r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"((?:https?:)?//[^\"]+)", page.content.decode()
        )
        assert not loaded, path


def _page_of_first(name: str) -> str:
    from django.apps import apps

    row = apps.get_model(name.replace("_", ".", 1)).objects.order_by("pk")[0]
    if name == "notifications_reminderrule":
        row = ReminderRule.objects.filter(overrides__isnull=False)[0]
    return reverse(f"admin:{name}_change", args=[row.pk])


def _user(user: User) -> str:
    return reverse("admin:auth_user_change", args=[user.pk])
