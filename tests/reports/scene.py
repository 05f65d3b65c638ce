"""Rows of a past week, written as they are: one line of a test is one booking, payment, delivery or job."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from jobs.models import Job
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule
from notifications.reports import periods
from notifications.reports.periods import Kind, Period
from tests.factories import HOUR

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = date(2025, 11, 3)
SECOND = timedelta(seconds=1)


def period(kind: Kind = "week", day: date = MONDAY) -> Period:
    return periods.containing(kind, day, BERLIN)


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    """In the week from 3 to 9 November 2025, by the clocks of Berlin."""
    return datetime(2025, 11, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


def rule(name: str, **fields: Any) -> ReminderRule:
    usual = {"anchor": "booking_start", "offset": -HOUR, "message": "booking_upcoming"}
    return ReminderRule.objects.create(name=name, **usual | fields)


def only(*rules: ReminderRule) -> None:
    """No others are active."""
    ReminderRule.objects.exclude(pk__in=[one.pk for one in rules]).update(active=False)


def booking(customer: Customer, **fields: Any) -> Booking:
    """Made, and to be, outside of the week; fields say otherwise."""
    starts = fields.get("starts_at", at(20))
    old = datetime(2025, 1, 1, tzinfo=UTC)
    usual: dict[str, Any] = {"service": "Haircut", "time_zone": "Europe/Berlin", "created_at": old, "made_at": old}
    usual |= {"starts_at": starts, "ends_at": starts + HOUR, "wall_date": starts.date(), "wall_time": starts.time()}
    return Booking.objects.create(customer=customer, tenant=customer.tenant, **usual | fields)


def over(customer: Customer, status: str, *, day: int = 5, confirmed: bool = False, **fields: Any) -> Booking:
    """Completed, missed or cancelled on that day, two hours after its start."""
    when = {"starts_at": at(day, 10), "closed_at": at(day, 12), "confirmed_at": at(day, 8) if confirmed else None}
    return booking(customer, status=status, **when | fields)


def delivery(anchor: Booking | Payment, rule: ReminderRule, **fields: Any) -> Delivery:
    """Sent a second late, on Wednesday at nine."""
    due = fields.get("send_at", at(5, 9))
    of = {"booking": anchor} if isinstance(anchor, Booking) else {"payment": anchor}
    usual: dict[str, Any] = {"state": "sent", "channel": "email", "revision": anchor.revision, "send_at": due}
    usual |= {"useful_until": due + HOUR, "customer": anchor.customer, "tenant": anchor.tenant, "rule": rule}
    if fields.get("state", "sent") == "sent":
        usual |= {"sent_at": due + SECOND}
    return Delivery.objects.create(**of, **usual | fields)


def payment(customer: Customer, *, due_on: date, closed_at: datetime | None, **fields: Any) -> Payment:
    usual: dict[str, Any] = {"subject": "Haircut", "amount": 4550, "currency": "EUR", "time_zone": "Europe/Berlin"}
    usual |= {"due_on": due_on, "closed_at": closed_at, "status": "paid" if closed_at else "open"}
    return Payment.objects.create(customer=customer, tenant=customer.tenant, **usual | fields)


def job(task: str, state: str, *, finished_at: datetime, failures: int = 0, **fields: Any) -> Job:
    usual = {"queue": "default", "run_at": finished_at, "created_at": timezone.now()}
    return Job.objects.create(task=task, state=state, finished_at=finished_at, failures=failures, **usual | fields)
