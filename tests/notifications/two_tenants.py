"""Two tenants with everything that a page may show, and people who have one of them."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.models import Export, Job, JobScope, StoredFile
from notifications import bulk, consent
from notifications.models import (
    Breaker,
    Channel,
    Customer,
    Delivery,
    DirectMessage,
    InboxItem,
    MessageTemplate,
    OutboxMessage,
    ProviderEvent,
    ReminderRule,
    Report,
    ReportMail,
    RuleOverride,
    Suppression,
    Trial,
)
from tests.factories import DAY, HOUR, make_booking, make_payment
from tests.jobs.test_scopes import client_of, person

admin.autodiscover()  # as config/urls.py does: the tables below are of all pages
ONE, TWO = "one", "two"
SECRET = "Zweitgeschäft"
DAY_VIEW, DOUBTS = "admin:notifications_booking_day", "admin:notifications_delivery_doubts"
AT = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) + 3 * DAY


def scene(tenant: str, name: str, many: int = 2) -> None:
    """Some of everything, at the same times and with the same numbers of their own system."""
    for number in range(many):
        address = f"{number}@{tenant}.example.com"
        customer = Customer.objects.create(
            tenant=tenant, name=f"{name} {number}", email=address, external_id=f"C-{number}", time_zone="Europe/Berlin"
        )
        booking = make_booking(
            customer, starts=AT, service=f"{name} cut", location=f"{name} street", external_id=f"B-{number}"
        )
        make_payment(customer, subject=f"{name} bill", external_id=f"P-{number}", booking=booking)
        consent.record(customer, "sms", True, source="form", actor=name)
        consent.suppress("email", address, Suppression.Cause.BOUNCE, name)
        now = timezone.now()
        waiting = list(booking.deliveries.order_by("send_at"))
        Delivery.objects.filter(pk=waiting[0].pk).update(state="in_doubt", doubts=1, intent_at=now, detail=name)
        Delivery.objects.filter(pk=waiting[1].pk).update(state="sent", intent_at=now, sent_at=now, send_at=now - HOUR)
        Job.objects.filter(pk=waiting[1].pk).update(state="failed", finished_at=now, signature=f"{name} failed")
        Job.objects.filter(pk=waiting[2].pk).update(run_at=now - HOUR)
        ProviderEvent.objects.create(provider=name, event_id=str(waiting[0].pk), kind="x", delivery=waiting[0])
        direct = DirectMessage.objects.create(tenant=tenant, channel="email", customer=customer, text=name, by=name)
        ProviderEvent.objects.create(provider=name, event_id=str(direct.pk), kind="bounced", direct=direct)
        InboxItem.objects.create(customer=customer, key=str(waiting[2].pk), title=name, body=name)
        OutboxMessage.objects.create(channel="sms", key=str(waiting[0].pk), to=name, text=name)
    rule = {"anchor": "booking_start", "offset": -DAY, "message": "booking_upcoming", "channels": ["inbox"]}
    own = ReminderRule.objects.create(tenant=tenant, name=f"{name} rule", **rule)
    shared = ReminderRule.objects.get(name__startswith="24 hours")
    for row in (own, shared):
        RuleOverride.objects.create(rule=row, tenant=tenant, service=f"{name} cut", offset=-2 * DAY)
    words = MessageTemplate.objects.create(
        tenant=tenant, message=f"{name}_words", channel="email", text=name, subject=name
    )
    said = {"message": name, "channel": "email", "address": f"{name}@example.com", "actor": name}
    Trial.objects.create(tenant=tenant, template=words, **said)
    message = bulk.Circular(subject=name, text=name, channels=(Channel.INBOX,), quiet_from=None, quiet_until=None)
    chosen = bulk.Selection(tenant=tenant, service=f"{name} cut")
    bulk.start(bulk.Kind.MESSAGE, chosen, message=message, reason=name, actor=name)
    Breaker.objects.create(provider=f"{name}.example.com", state="open", failures=9, opened_at=timezone.now())
    file = StoredFile.objects.create(name=f"{name}.csv", content_type="text/csv", size=1, sha256="0", tenant=tenant)
    wanted: dict[str, Any] = {"source": "bookings", "format": "csv", "columns": ["id"], "filters": {"location": name}}
    Export.objects.create(**wanted, by=name, rows=1, file=file)
    told = {"kind": "day", "first_day": "2025-11-05", "zone": "UTC", "language": "en", "by": name, "job_id": file.pk}
    reader = User.objects.create_user(f"reader of {name}", is_staff=True)
    report = Report.objects.create(tenant=tenant, **told)
    ReportMail.objects.create(report=report, user=reader, state="in_doubt", detail=name)


@pytest.fixture
def olga() -> Client:
    """She manages tenant one, and may see names."""
    return limited("Manager", [ONE])


def limited(role: str, tenants: list[str]) -> Client:
    user = person(role)
    JobScope.objects.create(user=user, tenants=tenants)
    return client_of(user)
