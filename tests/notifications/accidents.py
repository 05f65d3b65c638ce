"""Accidents past the application: each breaks one promise that `verify` asks about."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from jobs.models import Job
from notifications import bulk
from notifications.models import (
    Booking,
    BulkChange,
    Channel,
    Consent,
    Customer,
    Delivery,
    Payment,
    ReminderRule,
)
from tests.factories import HOUR, MINUTE


def gone(minutes: float) -> Any:
    return timezone.now() - minutes * MINUTE


def twice(sent: Delivery) -> None:
    copy_of(sent, channel="sms", provider_id="")


def copy_of(sent: Delivery, **changes: Any) -> Delivery:
    copy = {f.attname: getattr(sent, f.attname) for f in Delivery._meta.concrete_fields if f.name != "id"}
    return Delivery.objects.create(**copy | changes)


def twice_accepted(sent: Delivery) -> None:
    other = Delivery.objects.filter(state="planned").exclude(booking=sent.booking).first()
    assert other is not None
    now = timezone.now()
    done = {"state": "sent", "send_at": now - HOUR, "sent_at": now, "intent_at": now, "provider_id": sent.provider_id}
    Delivery.objects.filter(pk=other.pk).update(**done)
    Job.objects.filter(pk=other.pk).update(state="succeeded")


def no(sent: Delivery) -> None:
    Consent.objects.create(customer=sent.customer, channel="email", granted=False, changed_at=gone(30))


def at_night(sent: Delivery) -> None:
    """It was due six minutes before the quiet hours of its customer began, and went out in them."""
    begin = gone(10).astimezone(ZoneInfo(sent.customer.time_zone))
    hours = {"quiet_from": begin.time(), "quiet_until": (begin + 2 * HOUR).time(), "changed_at": gone(60)}
    ReminderRule.objects.filter(pk=sent.rule_id).update(**hours)
    Delivery.objects.filter(pk=sent.pk).update(send_at=gone(16))
    Delivery.objects.filter(state="planned").delete()
    Booking.objects.exclude(pk=sent.anchor.pk).update(status="cancelled")
    Payment.objects.update(status="cancelled")
    Booking.objects.filter(pk=sent.anchor.pk).update(status="completed")


def abandoned(sent: Delivery) -> None:
    """Its worker is gone, and its job waits to be run again."""
    one = Delivery.objects.filter(state="planned").order_by("send_at").first()
    assert one is not None
    Delivery.objects.filter(pk=one.pk).update(state="sending", intent_at=gone(9), send_at=gone(9))
    Job.objects.filter(pk=one.pk).update(run_at=gone(9))


def bulk_of(sent: Delivery, **columns: Any) -> BulkChange:
    """A message to many about the booking, that was worked through."""
    words = bulk.Circular(subject="Closed", text="Closed", channels=(Channel.INBOX,), quiet_from=None, quiet_until=None)
    selection = bulk.Selection(ids=(sent.booking_id or 0,))
    change = bulk.start(bulk.Kind.MESSAGE, selection, message=words, reason="pipe", actor="olga")
    while bulk._chunk(change.pk)[1]:
        pass
    BulkChange.objects.filter(pk=change.pk).update(**columns)
    return change


def sent_after_the_call_off(sent: Delivery) -> None:
    change = bulk_of(sent, cancelled_at=gone(30))
    told = {"state": "sent", "sent_at": timezone.now(), "intent_at": timezone.now()}
    Delivery.objects.filter(bulk=change).update(**told)


def moved_to_another_tenant(model: type[Booking] | type[Payment]) -> None:
    """All that is about one booking or payment, but for its customer."""
    anchor = model._default_manager.filter(deliveries__isnull=False).first()
    assert anchor is not None
    mine = list(anchor.deliveries.values_list("pk", flat=True))
    model._default_manager.filter(pk=anchor.pk).update(tenant="other")
    Delivery.objects.filter(pk__in=mine).update(tenant="other")
    Job.objects.filter(pk__in=mine).update(tenant="other")


def planned_for_another_tenant(sent: Delivery) -> None:
    Delivery.objects.filter(pk=sent.pk).update(tenant="other")
    Job.objects.filter(pk=sent.pk).update(tenant="other")


ACCIDENTS: dict[str, Callable[[Delivery], Any]] = {
    "missing bookings": lambda sent: Delivery.objects.filter(booking__status="booked", state="planned").delete(),
    "missing payments": lambda sent: Delivery.objects.filter(payment__isnull=False).delete(),
    "sent twice": twice,
    "accepted twice": twice_accepted,
    "after a close": lambda sent: Booking.objects.filter(pk=sent.anchor.pk).update(
        status="cancelled", closed_at=gone(30)
    ),
    "after a move": lambda sent: (
        Delivery.objects.filter(pk=sent.pk).update(revision=0)
        and Booking.objects.filter(pk=sent.anchor.pk).update(moved_at=gone(30))
    ),
    "after a refusal": no,
    "early": lambda sent: Delivery.objects.filter(pk=sent.pk).update(send_at=gone(-1)),
    "late": lambda sent: Delivery.objects.filter(pk=sent.pk).update(useful_until=gone(1)),
    "after the start": lambda sent: Booking.objects.filter(pk=sent.anchor.pk).update(starts_at=gone(1)),
    "unexplained": lambda sent: Delivery.objects.filter(state="skipped").update(reason=""),
    "contradicting": lambda sent: Delivery.objects.filter(state="skipped").update(sent_at=gone(0)),
    "forgotten": lambda sent: Delivery.objects.filter(state="planned").update(send_at=gone(9), useful_until=gone(6)),
    "half done": lambda sent: (
        bulk_of(sent, finished_at=None, created_at=gone(30))
        and Job.objects.filter(task="notifications.bulk").update(state="failed")
    ),
    "left out": lambda sent: Delivery.objects.filter(bulk=bulk_of(sent)).delete(),
    "not called off": sent_after_the_call_off,
    "orphaned": lambda sent: Delivery.objects.update(created_at=gone(60)) and Job.objects.update(state="succeeded"),
    "one window": lambda sent: copy_of(sent, revision=sent.revision + 1, provider_id=""),
    "misdirected": lambda sent: Delivery.objects.filter(state="planned", booking__isnull=False).update(
        customer=Customer.objects.get(email="bob@example.com")
    ),
    "in quiet hours": at_night,
    "abandoned": abandoned,
    "stray": lambda sent: Job.objects.create(
        **{"task": "notifications.deliver", "queue": "messages", "run_at": gone(-60), "created_at": gone(60)}
    ),
    "foreign bookings": lambda sent: moved_to_another_tenant(Booking),
    "foreign payments": lambda sent: moved_to_another_tenant(Payment),
    "foreign deliveries": planned_for_another_tenant,
    "foreign jobs": lambda sent: Job.objects.filter(pk=sent.pk).update(tenant="other"),
    "disagreeing": lambda sent: Job.objects.filter(state="scheduled").update(run_at=gone(-30 * 24 * 60)),
}
