"""What a viewer tries who wants to know who the customers are: results, words, tests, filters, every page."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django_celery_results.models import TaskResult

from jobs.models import Order
from notifications.models import (
    BulkChange,
    ConsentEvent,
    Delivery,
    InboxItem,
    MessageTemplate,
    OutboxMessage,
    ReminderRule,
    RuleOverride,
    Suppression,
    Trial,
)
from tests.factories import alice, make_booking, make_job, make_payment
from tests.jobs.test_scopes import client_of, person

admin.autodiscover()  # as config/urls.py does: the tables below are of all pages

pytestmark = pytest.mark.django_db


def with_only(*permissions: str, **user: Any) -> Client:
    somebody = User.objects.create_user("somebody", is_staff=True, **user)
    for one in permissions:
        app, codename = one.split(".")
        somebody.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return client_of(somebody)


def listed(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


# --- What is masked ---


def test_what_celery_keeps_of_a_task_is_masked_as_the_jobs_page_masks_it() -> None:
    kept = {"task_args": "\"('Alice Ähre',)\"", "task_kwargs": "\"{'to': 'alice'}\"", "result": '"Alice Ähre"'}
    row = TaskResult.objects.create(task_id="x1", traceback="no <alice@example.com>", **kept)
    url = reverse("admin:django_celery_results_taskresult_change", args=[row.pk])
    viewer, manager = client_of(person("Viewer")), client_of(person("Manager"))
    hidden, plain = (client.get(url).content.decode().lower() for client in (viewer, manager))
    assert "alice" not in hidden and "alice" in plain
    for question in ({"result__contains": "Al"}, {"task_kwargs__startswith": "x"}, {"traceback__contains": "a"}):
        assert viewer.get(listed("django_celery_results_taskresult"), question).status_code == 400
    assert viewer.get(listed("django_celery_results_taskresult"), {"status__exact": "SUCCESS"}).status_code == 200


def test_words_are_not_said_of_a_customer_to_those_who_may_not_know_him() -> None:
    booking = make_booking(alice())
    words = {"message": "upcoming", "channel": "email", "locale": "en", "subject": "Hi {{ customer.name }}"}
    row = MessageTemplate.objects.create(text="{{ customer.name }}, tomorrow", **words)
    url = reverse("admin:notifications_messagetemplate_try", args=[row.pk]) + f"?booking={booking.pk}"
    assert "Alice Ähre, tomorrow" in client_of(person("Manager")).get(url).content.decode()
    page = client_of(person("Viewer")).get(url)
    assert page.status_code == 200 and "Ähre" not in page.content.decode()
    sees = ("notifications.view_messagetemplate", "notifications.view_booking", "notifications.try_messagetemplate")
    assert with_only(*sees).post(url, {"address": "me@example.com"}).status_code == 403
    assert not Trial.objects.exists()


def test_addresses_that_tests_went_to_are_masked() -> None:
    Trial.objects.create(message="upcoming", channel="email", address="alice@example.com", actor="olga", answer="taken")
    viewer = client_of(person("Viewer"))
    row = Trial.objects.get()
    for url in (listed("notifications_trial"), reverse("admin:notifications_trial_change", args=[row.pk])):
        page = viewer.get(url)
        assert page.status_code == 200 and "alice@example.com" not in page.content.decode()
    assert viewer.get(listed("notifications_trial"), {"address__startswith": "a"}).status_code == 400
    assert "1 trial" not in viewer.get(listed("notifications_trial"), {"q": "alice"}).content.decode()


def test_what_somebody_searched_for_is_not_told_by_his_orders_and_changes() -> None:
    asked = {"search": "alice@example.com"}
    order = Order.objects.create(
        verb="cancel",
        filters=asked,
        reason="x",
        by="olga",
        asked_at=timezone.now(),
        total=0,
        finished_at=timezone.now(),
    )
    change = BulkChange.objects.create(kind="cancel", filters=asked, parameters={}, reason="x", actor="olga", total=0)
    viewer = client_of(person("Viewer"))
    for name, row in (("jobs_order", order), ("notifications_bulkchange", change)):
        page = viewer.get(reverse(f"admin:{name}_change", args=[row.pk]))
        assert page.status_code == 200 and "alice" not in page.content.decode()
        assert viewer.get(listed(name), {"filters__search__startswith": "alice"}).status_code == 400


def test_a_change_to_many_does_not_look_for_names_of_those_who_may_not_know_them() -> None:
    make_booking(alice())
    client = with_only("notifications.run_bulkchange")
    url = reverse("admin:notifications_bulkchange_add")
    page = client.post(url, {"kind": "cancel", "search": "Ali", "reason": "x", "_preview": "yes"})
    assert "preview" not in page.context and "search" in page.context["form"].errors
    words = {"kind": "message", "service": "Haircut", "reason": "x", "subject": "s", "text": "To {{ customer.name }}"}
    page = client.post(url, words | {"channels": ["email"], "_preview": "yes"})
    assert page.context["preview"].message.examples
    assert "Ähre" not in page.content.decode() and "alice@" not in page.content.decode()


# --- Every page ---


def test_no_page_tells_a_viewer_who_a_customer_is(customers_everywhere: Client) -> None:
    """Lists, pages, histories and choices of all that is registered."""
    told = []
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        urls = [reverse(f"{base}_changelist")]
        for row in model._default_manager.order_by("-pk")[:3]:
            urls += [reverse(f"{base}_change", args=[row.pk]), reverse(f"{base}_history", args=[row.pk])]
        fields: Any = model._meta.get_fields()
        for field in fields:
            theirs = admin.site._registry.get(field.related_model)
            if field.concrete and theirs and (theirs.ordering or field.related_model._meta.ordering):
                named: dict[str, Any] = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                urls.append(f"{reverse('admin:autocomplete')}?{urlencode(named | {'field_name': field.name})}")
        told += [url for url in urls if tells(customers_everywhere.get(url))]
    assert not told


def test_no_list_answers_a_viewer_letter_by_letter(customers_everywhere: Client) -> None:
    """Of each column that holds something personal, and through each relation: refused, or nothing to be told from."""
    told = []
    for model in admin.site._registry:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for path in columns(model):
            right, wrong = (customers_everywhere.get(url, {f"{path}__icontains": part}) for part in ("lice", "zice"))
            if right.status_code == 200 and number(right) != number(wrong):
                told.append(f"{model.__name__}.{path}")
    assert not told


def columns(model: Any) -> Iterator[str]:
    for field in model._meta.concrete_fields:
        if not field.is_relation:
            yield field.name
        else:
            yield from (f"{field.name}__{one.name}" for one in field.related_model._meta.concrete_fields)


def number(page: Any) -> int:
    return int(re.sub(r"\D", "", str(page.context["cl"].result_count)) or 0) if page.context else 0


def tells(page: Any) -> bool:
    text = page.content.decode() if page.status_code == 200 else ""
    return any(one in text for one in ("Alice", "Ähre", "\\u00c4hre", "alice@", "5551234567"))


@pytest.fixture
def customers_everywhere() -> Client:
    """A viewer, and a customer whose name and address stand wherever they can."""
    manager = person("Manager")
    customer = alice(phone="+15551234567", webhook_url="https://alice@example.com/Alice", external_id="Alice Ähre")
    booking = make_booking(customer)
    make_payment(customer)
    delivery = booking.deliveries.all()[0]
    Delivery.objects.update(detail="550 alice@example.com", state="in_doubt", doubts=1)
    address = "alice@example.com"
    key, words = str(delivery.pk), "Alice Ähre, alice@example.com"
    InboxItem.objects.create(customer=customer, key="x", title=words, body=words)
    OutboxMessage.objects.create(channel="sms", to="+15551234567", subject=words, text=words, html=words, key=key)
    Suppression.objects.create(
        channel="email", address="alice@example.com", cause="bounced", detail="alice@example.com"
    )
    ConsentEvent.objects.create(customer=customer, channel="email", granted=True, source="form", evidence=words)
    Trial.objects.create(message="x", channel="email", address=address, actor="x", answer="to alice@example.com")
    TaskResult.objects.create(task_id="t", task_args=words, task_kwargs=words, result=words, meta=words)
    make_job(
        "failed",
        args=[words],
        kwargs={"to": words},
        result=[words],
        reason="550 alice@example.com",
        log=["alice@example.com"],
    )
    make_job("running", checkpoint=words, progress={"done": 1, "total": 2, "note": "alice@example.com"})
    BulkChange.objects.create(kind="cancel", filters={"search": words}, parameters={}, reason="x", actor="x", total=0)
    asked = {"filters": {"search": words}, "reason": "x", "by": "x", "asked_at": timezone.now(), "total": 0}
    Order.objects.create(verb="cancel", finished_at=timezone.now(), **asked)
    rule = ReminderRule.objects.all()[0]
    RuleOverride.objects.create(rule=rule, customer=customer, active=False)
    client = client_of(manager)
    client.post(
        reverse("admin:notifications_customer_do", args=[customer.pk, "opt_in"]), {"channel": "sms", "evidence": "call"}
    )
    client.post(reverse("admin:notifications_booking_do", args=[booking.pk, "confirm"]), {"revision": 1})
    client.post(reverse("admin:notifications_delivery_do", args=[delivery.pk, "was_sent"]), {"reason": "seen"})
    return client_of(person("Viewer"))
