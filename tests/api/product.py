"""The scene of the product's tests: a shop of one tenant, or two shops that must not see each other."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from notifications.api.scopes import SCOPES
from notifications.models import Booking, Customer, Delivery, Payment
from tests.factories import alice, make_booking, make_payment

ALL = tuple(SCOPES)
BLIND = tuple(scope for scope in SCOPES if scope not in ("customers:reveal", "inbox:issue"))
SECRET = ("Alice", "Ähre", "alice@example.com", "+4915123456789", "crm-1", "whsec_", "hooks.example.com")


def in_days(days: float) -> datetime:
    """To the minute, so that it reads back as it was said."""
    return (timezone.now() + timedelta(days=days)).replace(second=0, microsecond=0)


def known_customer(**fields: Any) -> Customer:
    """With everything that is to be masked."""
    usual = {
        "external_id": "crm-1",
        "phone": "+4915123456789",
        "webhook_url": "https://hooks.example.com/a",
        "webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    return alice(**usual | fields)


@dataclass
class Shop:
    """One tenant's customer, with a booking and a payment."""

    tenant: str
    customer: Customer
    booking: Booking
    payment: Payment


def shop(tenant: str = "", **fields: Any) -> Shop:
    customer = known_customer(tenant=tenant, **fields)
    return Shop(tenant, customer, make_booking(customer), make_payment(customer))


def two_shops() -> tuple[Shop, Shop]:
    return shop("north"), shop("south", name="Zoë Zander", email="zoe@example.org")


def told_nowhere(response: Any, *words: str) -> None:
    """None of the words is in the answer: not in its body, nor in a header."""
    text = response.content.decode() + repr(dict(response.headers))
    assert not [word for word in words or SECRET if word in text], text


def planned(anchor: Booking | Payment) -> Any:
    return anchor.deliveries.filter(state=Delivery.State.PLANNED)
