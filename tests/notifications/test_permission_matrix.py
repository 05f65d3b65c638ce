"""Who may do what on the product's pages: role x action x tenant. Every action is a POST; a GET changes nothing.

Rows are of tenant "one". Who sees another tenant only is told 404 where the role may, and 403 where it may not: so
nobody learns by an address which rows there are.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.theme.verbs import WithVerbs
from jobs.models import Job
from notifications import bulk
from notifications.models import (
    Booking,
    BulkChange,
    Customer,
    Delivery,
    DirectMessage,
    MessageTemplate,
    Payment,
    ReminderRule,
    Report,
    ReportMail,
)
from tests.factories import DAY, HOUR, alice, make_booking, make_job, make_payment
from tests.notifications.roles import MANAGER, OPERATOR, ROLES, SEES, VIEWER, client_of, expected

pytestmark = pytest.mark.django_db

admin.autodiscover()  # as config/urls.py does: the tables below are of all pages
ASKED: dict[str, Any] = {"by": "olga", "job_id": "018f0000-0000-7000-8000-000000000000"}
TOMORROW = f"{timezone.now() + DAY:%Y-%m-%d}"
# model, verb, what is posted, who may
ACTIONS: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    ("booking", "confirm", {"revision": 1}, OPERATOR),
    ("booking", "reschedule", {"day": TOMORROW, "at": "12:00", "minutes": 30}, OPERATOR),
    ("booking", "complete", {}, OPERATOR),
    ("booking", "no_show", {}, OPERATOR),
    ("booking", "cancel", {}, OPERATOR),
    ("payment", "paid", {"amount": "1"}, OPERATOR),
    ("payment", "paid_in_full", {}, OPERATOR),
    ("payment", "postpone", {"due_on": TOMORROW}, OPERATOR),
    ("payment", "dispute", {}, OPERATOR),
    ("payment", "settle", {}, OPERATOR),
    ("payment", "refund", {}, OPERATOR),
    ("payment", "bounce", {"amount": "1"}, OPERATOR),
    ("payment", "write_off", {}, OPERATOR),
    ("payment", "cancel", {}, OPERATOR),
    ("customer", "opt_in", {"channel": "email", "evidence": "by letter"}, OPERATOR),
    ("customer", "opt_out", {"channel": "email", "evidence": "by letter"}, OPERATOR),
    ("delivery", "was_sent", {"reason": "seen"}, OPERATOR),
    ("delivery", "was_not_sent", {"reason": "seen"}, OPERATOR),
    ("delivery", "send_again", {"reason": "seen"}, OPERATOR),
    ("delivery", "withdraw", {}, OPERATOR),
    ("delivery", "again", {}, OPERATOR),
    ("directmessage", "was_sent", {"reason": "seen"}, OPERATOR),
    ("directmessage", "was_not_sent", {"reason": "seen"}, OPERATOR),
    ("directmessage", "send_again", {"reason": "seen"}, OPERATOR),
    ("directmessage", "withdraw", {}, OPERATOR),
    ("reportmail", "arrived", {"reason": "seen"}, OPERATOR),
    ("reportmail", "send_again", {"reason": "seen"}, OPERATOR),
]
# What has to be so that the verb has something to do.
BEFORE: dict[tuple[str, str], dict[str, Any]] = {
    ("booking", "complete"): {"starts_at": timezone.now() - HOUR},
    ("booking", "no_show"): {"starts_at": timezone.now() - HOUR},
    ("payment", "settle"): {"status": "disputed"},
    ("payment", "refund"): {"status": "paid", "paid_amount": 4550},
    ("payment", "bounce"): {"status": "paid", "paid_amount": 4550},
    ("delivery", "was_sent"): {"state": "in_doubt", "doubts": 1},
    ("delivery", "was_not_sent"): {"state": "in_doubt", "doubts": 1},
    ("delivery", "send_again"): {"state": "in_doubt", "doubts": 1},
    ("delivery", "again"): {"state": "refused", "send_at": timezone.now() - HOUR},
    ("directmessage", "was_sent"): {"state": "in_doubt", "doubts": 1},
    ("directmessage", "was_not_sent"): {"state": "in_doubt", "doubts": 1},
    ("directmessage", "send_again"): {"state": "in_doubt", "doubts": 1},
    ("reportmail", "arrived"): {"state": "in_doubt"},
    ("reportmail", "send_again"): {"state": "in_doubt"},
}
# Pages of one row: model, page, who may.
ROW_PAGES: list[tuple[str, str, tuple[str, ...]]] = [
    *(
        (model, page, VIEWER)
        for model in ("booking", "payment", "customer", "delivery")
        for page in ("change", "history")
    ),
    ("reminderrule", "change", VIEWER),
    ("messagetemplate", "change", VIEWER),
    ("messagetemplate", "delete", MANAGER),
    ("messagetemplate", "try", VIEWER),
    ("bulkchange", "change", VIEWER),
    ("customer", "sent", VIEWER),
    ("reportmail", "change", VIEWER),
    ("reportmail", "history", VIEWER),
]
PAGES: list[tuple[str, tuple[str, ...]]] = [
    ("booking_day", ROLES[1:]),
    ("delivery_doubts", ROLES[1:]),
    ("customer_sent", ROLES[1:]),
    ("booking_add", OPERATOR),
    ("payment_add", OPERATOR),
    ("reminderrule_add", MANAGER),
    ("messagetemplate_add", MANAGER),
]


@pytest.fixture
def rows() -> dict[str, Any]:
    customer = alice(tenant="one")
    booking = make_booking(customer)
    payment = make_payment(customer)
    delivery = booking.deliveries.order_by("send_at")[0]
    rule = {"anchor": "booking_start", "offset": -DAY, "message": "booking_upcoming", "channels": ["inbox"]}
    words = {"message": "booking_upcoming", "channel": "email", "subject": "Hello", "text": "Hello"}
    chosen = bulk.Selection(tenant="one", service="Haircut")
    direct = DirectMessage.objects.create(tenant="one", channel="email", customer=customer, text="x", by="x")
    make_job("failed", id=direct.pk, task="notifications.send_email", tenant="one")
    report = Report.objects.create(kind="day", first_day="2025-11-05", zone="UTC", language="en", tenant="one", **ASKED)
    mail = ReportMail.objects.create(report=report, user=User.objects.create_user("reader", is_staff=True))
    make_job("failed", id=mail.pk, task="notifications.send_report", tenant="one")
    return {
        "customer": customer,
        "booking": booking,
        "payment": payment,
        "delivery": delivery,
        "reminderrule": ReminderRule.objects.create(tenant="one", name="Own", **rule),
        "messagetemplate": MessageTemplate.objects.create(tenant="one", **words),
        "directmessage": direct,
        "reportmail": mail,
        "bulkchange": bulk.start(bulk.Kind.CANCEL, chosen, reason="pipe", actor="olga"),
    }


def everything() -> list[Any]:
    models = (Booking, Payment, Customer, Delivery, DirectMessage, ReportMail, ReminderRule, Job, LogEntry)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_every_verb_of_every_page_is_in_the_matrix() -> None:
    offered = {
        (model._meta.model_name, verb.name)
        for model, page in admin.site._registry.items()
        if model._meta.app_label == "notifications" and isinstance(page, WithVerbs)
        for verb in page.verbs
    }
    assert offered == {(model, verb) for model, verb, _, _ in ACTIONS}


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("model", "verb", "said", "allowed"), ACTIONS, ids=[f"{one[0]}-{one[1]}" for one in ACTIONS])
def test_role_by_action_by_tenant(
    rows: dict[str, Any], role: str, sees: str, model: str, verb: str, said: dict[str, Any], allowed: tuple[str, ...]
) -> None:
    row = rows[model]
    if changes := BEFORE.get((model, verb)):
        apps.get_model("notifications", model)._default_manager.filter(pk=row.pk).update(**changes)
    if (model, verb) in BEFORE and model in ("delivery", "directmessage", "reportmail"):
        Job.objects.filter(pk=row.pk).update(state="failed")
    client, url = client_of(role, sees), reverse(f"admin:notifications_{model}_do", args=[row.pk, verb])
    before = everything()
    assert client.get(url).status_code == expected(role, sees, allowed, 200)
    assert everything() == before, "a GET changes nothing"
    answer = client.post(url, said | {"_confirmed": "yes"})
    assert answer.status_code == expected(role, sees, allowed, 302)
    if role in allowed and sees != "another":
        assert LogEntry.objects.count() == 1, [str(one) for one in client.get(answer["Location"]).context["messages"]]
    else:
        assert everything() == before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("page", "allowed"), PAGES, ids=[one[0] for one in PAGES])
def test_role_by_page(rows: dict[str, Any], role: str, page: str, allowed: tuple[str, ...]) -> None:
    args = [rows["customer"].pk] if page == "customer_sent" else []
    before = everything()
    assert client_of(role).get(reverse(f"admin:notifications_{page}", args=args)).status_code == (
        200 if role in allowed else 403
    )
    assert everything() == before


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("model", "page", "allowed"), ROW_PAGES, ids=[f"{one[0]}-{one[1]}" for one in ROW_PAGES])
def test_role_by_page_of_a_row_by_tenant(
    rows: dict[str, Any], role: str, sees: str, model: str, page: str, allowed: tuple[str, ...]
) -> None:
    url = reverse(f"admin:notifications_{model}_{page}", args=[rows[model].pk])
    assert client_of(role, sees).get(url).status_code == expected(role, sees, allowed, 200)


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("role", ROLES)
def test_a_change_to_many_is_called_off_by_its_own_tenants_people(rows: dict[str, Any], role: str, sees: str) -> None:
    url = reverse("admin:notifications_bulkchange_call_off", args=[rows["bulkchange"].pk])
    assert client_of(role, sees).post(url).status_code == expected(role, sees, MANAGER, 302)
    off = BulkChange.objects.get().cancelled_at is not None
    assert off is (role in MANAGER and sees != "another")


LIST_ACTIONS = [
    ("booking", "cancel", OPERATOR),
    ("payment", "mark_paid", OPERATOR),
    ("payment", "cancel", OPERATOR),
    ("delivery", "withdraw", OPERATOR),
    ("messagetemplate", "delete_selected", MANAGER),
]


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("model", "action", "allowed"), LIST_ACTIONS, ids=[f"{one[0]}-{one[1]}" for one in LIST_ACTIONS]
)
def test_role_by_action_of_a_list_by_tenant(
    rows: dict[str, Any], role: str, sees: str, model: str, action: str, allowed: tuple[str, ...]
) -> None:
    before = everything()
    said = {"action": action, "_selected_action": [str(rows[model].pk)], "reason": "pipe", "post": "yes"}
    url = reverse(f"admin:notifications_{model}_changelist")
    answer = client_of(role, sees).post(url, said | {"select_across": "1"} if sees == "another" else said)
    assert answer.status_code == (403 if role == "nobody" else answer.status_code)
    changed = everything() != before or not MessageTemplate.objects.exists()
    if role not in allowed or sees == "another":
        assert not changed
    elif action == "delete_selected":
        assert changed


@pytest.mark.parametrize("model", ["reminderrule", "messagetemplate"])
@pytest.mark.parametrize("sees", SEES)
def test_what_all_tenants_share_is_for_their_people_to_look_at(rows: dict[str, Any], model: str, sees: str) -> None:
    apps.get_model("notifications", model)._default_manager.filter(pk=rows[model].pk).update(tenant="")
    client = client_of("Manager", sees)
    url = reverse(f"admin:notifications_{model}_change", args=[rows[model].pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"name": "Mine"}).status_code == (200 if sees == "all" else 403)


@pytest.mark.parametrize("role", ROLES)
def test_buttons_are_for_those_who_may_use_them(rows: dict[str, Any], role: str) -> None:
    answer = client_of(role).get(reverse("admin:notifications_booking_change", args=[rows["booking"].pk]))
    if role == "nobody":
        assert answer.status_code == 403
    else:
        assert bool(answer.context["verbs"]) is (role in OPERATOR)


def test_visitors_are_sent_to_the_door(rows: dict[str, Any]) -> None:
    for model, verb, said, _ in ACTIONS:
        url = reverse(f"admin:notifications_{model}_do", args=[rows[model].pk, verb])
        assert "/login/" in Client().post(url, said)["Location"]
    assert not LogEntry.objects.exists()


def _texts(client: Client, rows: dict[str, Any]) -> Iterator[str]:
    yield client.get(
        reverse("admin:notifications_booking_day"), {"day": str(rows["booking"].wall_date)}
    ).content.decode()
    yield client.get(reverse("admin:notifications_delivery_doubts")).content.decode()
    yield client.get(reverse("admin:notifications_customer_sent", args=[rows["customer"].pk])).content.decode()
    for name in ("booking", "payment", "delivery", "customer"):
        yield client.get(reverse(f"admin:notifications_{name}_change", args=[rows[name].pk])).content.decode()
    yield client.get(reverse("admin:notifications_booking_do", args=[rows["booking"].pk, "cancel"])).content.decode()


@pytest.mark.parametrize("role", ["Viewer", "Operator"])
def test_none_of_these_pages_shows_a_name_to_those_who_may_not_know_it(rows: dict[str, Any], role: str) -> None:
    told = {"state": "in_doubt", "doubts": 1, "detail": "alice@example.com: no answer", "intent_at": timezone.now()}
    Delivery.objects.filter(pk=rows["delivery"].pk).update(**told)
    for text in _texts(client_of(role), rows):
        assert not [word for word in ("Alice", "Ähre", "alice@") if word in text]
    assert all("Alice" in text or "Haircut" in text for text in _texts(client_of("Manager"), rows))
