"""A customer who is not stored, with a booking or a payment: what an owner's words are tried with.

Used where words are saved: message templates and messages to many.
"""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from notifications import rendering
from notifications.models import Booking, Customer, Payment


def example(message: str, locale: str) -> dict[str, Any]:
    """The facts. A message about payments is called payment_..., as ours are."""
    customer = Customer(pk=0, name="Alice Example", email="alice@example.com", locale=locale)
    if message.startswith("payment"):
        owed = {
            "subject": "Haircut",
            "amount": 4550,
            "currency": "EUR",
            "due_on": timezone.localdate() + timedelta(days=3),
        }
        return rendering.facts_of(Payment(pk=0, customer=customer, **owed), customer)
    starts_at: datetime = timezone.now() + timedelta(days=1)
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=1), "time_zone": customer.time_zone}
    booking = Booking(pk=0, customer=customer, service="Haircut", location="High Street 1", **times)
    return rendering.facts_of(booking, customer)
