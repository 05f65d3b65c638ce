"""The contract of a channel: one function, `send(message, *, idempotency_key) -> Receipt`.

It returns when the provider has taken the message, and otherwise raises what it knows. Busy and Refused mean that the
provider certainly did not take it; Unknown means that nobody can tell. Channels know nothing of jobs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Attachment:
    name: str
    mime: str  # text/calendar; method=REQUEST
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Message:
    """What is personal is left out of the repr: a message may stand in a traceback."""

    to: str = field(repr=False)  # an address of the channel: see Customer.address
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(default="", repr=False)
    attachments: tuple[Attachment, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # of a mail: List-Unsubscribe
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)  # JSON: a webhook's data, an inbox' level
    secret: str = field(default="", repr=False)  # signs a webhook


@dataclass(frozen=True)
class Receipt:
    provider_id: str  # by which the provider knows the message
    segments: int | None = None  # parts of an SMS
    cost: Decimal | None = None  # of all segments; negative never
    currency: str = ""  # ISO 4217


class NotSent(Exception):
    """The provider did not take the message. The text holds no address: it goes to logs."""


class Busy(NotSent):
    """Not now; later it may."""

    def __init__(self, why: str, retry_after: timedelta | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Down(Busy):
    """Not now, and the provider is to blame, not the message: the next message would fare no better."""


class Throttled(Busy):
    """Told to wait, by the provider or by its breaker. Nothing failed: it costs a snooze and no attempt."""

    retry_after: timedelta

    def __init__(self, why: str, retry_after: timedelta) -> None:
        super().__init__(why, retry_after)


class Refused(NotSent):
    """Not this message to this address, ever.

    `suppress` is a cause of `Suppression` ("bounce", "stop", "blocked", ...) when nothing at all may be sent to that
    address any more, and else empty.
    """

    def __init__(self, why: str, suppress: str = "") -> None:
        super().__init__(why)
        self.suppress = suppress


class Unknown(Exception):
    """The connection broke after the message was handed over and before the provider answered."""


Send = Callable[..., Receipt]  # (message, *, idempotency_key)
Find = Callable[[str], Receipt | None]  # by idempotency key, exact: None means that it certainly was not sent
