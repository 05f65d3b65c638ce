"""Deliveries for tests: planned, made due, and what became of them."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from jobs.models import Job
from notifications import reminders
from notifications.changes import Plan
from notifications.models import Delivery


def plan(*anchors) -> Plan:
    with transaction.atomic():
        return reminders.plan(list(anchors))


def due_now(delivery: Delivery) -> Delivery:
    """Time passes until the delivery is due."""
    past = timezone.now() - timedelta(seconds=5)
    Delivery.objects.filter(pk=delivery.pk).update(send_at=past)
    Job.objects.filter(pk=delivery.pk).update(run_at=past)
    delivery.refresh_from_db()
    return delivery


def first(anchor) -> Delivery:
    return anchor.deliveries.filter(state="planned").order_by("send_at")[0]
