"""Rules for tests: one alone, what waits by it, and why the rest does not."""

from typing import Any

from django.db import transaction

from jobs.models import Job
from notifications import reminders
from notifications.changes import Plan
from notifications.models import Booking, Payment, ReminderRule
from tests.factories import DAY


def plan(*anchors: Any) -> Plan:
    for anchor in anchors:
        anchor.refresh_from_db()
    with transaction.atomic():
        return reminders.plan(list(anchors))


def only_rule(**fields: Any) -> ReminderRule:
    """The one rule there is, before anything is booked."""
    ReminderRule.objects.all().delete()
    usual = {"name": "the rule", "anchor": "booking_start", "offset": -DAY, "message": "booking_upcoming"}
    return ReminderRule.objects.create(**usual | fields)


def waiting(anchor: Booking | Payment) -> list[str]:
    return list(anchor.deliveries.filter(state="planned").order_by("send_at").values_list("channel", flat=True))


def jobs_match(anchor: Booking | Payment) -> bool:
    """Each planned delivery has a job that waits for its time, each other one has none."""
    planned = dict(anchor.deliveries.filter(state="planned").values_list("pk", "send_at"))
    return dict(Job.objects.filter(state="scheduled").values_list("pk", "run_at")) == planned
