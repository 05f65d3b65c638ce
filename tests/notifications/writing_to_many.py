"""A clinic that writes to many: bookings, words, the change, and what it made."""

from typing import Any

from notifications import bulk
from notifications.models import Booking, BulkChange, Customer, Delivery
from notifications.verify import CHECKS
from tests.factories import make_booking

Kind = bulk.Kind


def words(**fields: Any) -> bulk.Circular:
    usual: dict[str, Any] = {
        "subject": "Closed",
        "text": "{{ customer.name }}: {{ booking.service }} on {{ starts_short }} cannot be.",
        "channels": ("email", "sms"),
        "quiet_from": None,
        "quiet_until": None,
    }
    return bulk.Circular(**usual | fields)


def clinic() -> bulk.Selection:
    return bulk.Selection(location="Clinic")


def start(kind: str = "message", **fields: Any) -> BulkChange:
    usual: dict[str, Any] = {"message": words(), "reason": "burst pipe", "actor": "olga"}
    return bulk.start(Kind(kind), clinic(), **usual | fields)


def booked(customer: Customer, **fields: Any) -> Booking:
    return make_booking(customer, **{"location": "Clinic"} | fields)


def messages(change: BulkChange) -> dict[str, tuple[str, str, str]]:
    """By customer: channel, state, reason; of the last one of each."""
    rows = Delivery.objects.filter(bulk=change).select_related("customer").order_by("pk")
    return {row.customer.name: (row.channel, row.state, row.reason) for row in rows}


def kept() -> set[str]:
    return {check.name for check in CHECKS if check.broken().exists()}
