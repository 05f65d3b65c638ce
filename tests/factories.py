"""A row in any state, in one line, with everything that belongs to that state."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.utils import timezone

from jobs.models import Job
from notifications import bookings, payments
from notifications.models import Booking, Customer, Payment

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def make_job(state: str = "scheduled", *, lease: str = "live", due: timedelta = -MINUTE, **fields: Any) -> Job:
    """`due` is from now; `lease` is live or over."""
    now = timezone.now()
    fields = {"task": "probe.ok", "queue": "default", "run_at": now + due} | fields
    if state in ("queued", "running"):
        fields = {"lease_until": now + (MINUTE if lease == "live" else -MINUTE), "queued_at": now} | fields
    if state == "running":
        fields = {"token": 1, "worker": "elsewhere:1", "started_at": now} | fields
    if state in ("succeeded", "failed", "cancelled", "expired"):
        fields = {"finished_at": now} | fields
    return Job.objects.create(state=state, **fields)


def alice(**fields: Any) -> Customer:
    """She books."""
    return Customer.objects.create(
        **{"name": "Alice Ähre", "email": "alice@example.com", "time_zone": "Europe/Berlin"} | fields
    )


def bob(**fields: Any) -> Customer:
    """He is the other customer."""
    return Customer.objects.create(
        **{"name": "Bob", "email": "bob@example.com", "time_zone": "America/New_York"} | fields
    )


def make_booking(customer: Customer, *, starts: timedelta | datetime = 2 * DAY, **fields: Any) -> Booking:
    """`starts` is from now, or a moment."""
    starts_at = starts if isinstance(starts, datetime) else timezone.now() + starts
    usual: dict[str, Any] = {"service": "Haircut", "starts_at": starts_at, "ends_at": starts_at + HOUR}
    booking, _ = bookings.book(customer=customer, **usual | {"time_zone": "Europe/Berlin"} | fields)
    return booking


def make_payment(customer: Customer, *, due: timedelta | date = 10 * DAY, **fields: Any) -> Payment:
    """`due` is from today, or a date."""
    due_on = due if isinstance(due, date) else (datetime.now(UTC) + due).date()
    usual: dict[str, Any] = {"subject": "Haircut", "amount": 4550, "currency": "EUR", "due_on": due_on}
    payment, _ = payments.request_payment(customer=customer, **usual | fields)
    return payment
