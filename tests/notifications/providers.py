"""Providers that a test tells what to answer, one channel each."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from notifications.channels import CHANNELS
from notifications.channels.base import Message, Receipt
from notifications.models import Booking, Delivery, Payment


class Provider:
    """Takes every message, unless `answers` has something else to say first."""

    def __init__(self) -> None:
        self.answers: list[Exception | None] = []
        self.taken: list[tuple[str, str]] = []  # (key, text)
        self.asked: dict[str, int] = defaultdict(int)
        self.default_policy = "hold"
        self.find: Callable[[str], Receipt | None] | None = None
        self.ready: Callable[[Message], None] = lambda message: None

    def __call__(self, message: Message, *, idempotency_key: str) -> Receipt:
        self.asked[idempotency_key] += 1
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.taken.append((idempotency_key, message.text))
        return Receipt(f"id-{len(self.taken)}")

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.taken]


class Providers(dict[str, Provider]):
    pass


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    """One for each channel, in the place of the real ones."""
    made = Providers({channel: Provider() for channel in ("email", "sms", "webhook", "inbox")})
    for channel, provider in made.items():
        monkeypatch.setitem(CHANNELS, channel, provider)
    yield made


def reload(*deliveries: Delivery) -> list[tuple[str, str]]:
    """What became of them: (state, reason) each."""
    for delivery in deliveries:
        delivery.refresh_from_db()
    return [(delivery.state, delivery.reason) for delivery in deliveries]


def put(channel: str, provider: Provider) -> None:
    """In the place of the one of `providers`, which restores all of them."""
    CHANNELS[channel] = provider  # type: ignore[assignment]


def booking_of(delivery: Delivery) -> Booking:
    assert delivery.booking is not None
    return delivery.booking


def payment_of(delivery: Delivery) -> Payment:
    assert delivery.payment is not None
    return delivery.payment
