"""The contract of a channel: one function, `send(message, *, idempotency_key) -> Receipt`.

It returns when the provider has taken the message, and otherwise raises what it knows: Busy and Refused mean that
the provider certainly did not take it; Unknown means that nobody can tell. Channels know nothing of jobs.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Message:
    to: str  # an address of the channel
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Receipt:
    provider_id: str  # by which the provider knows the message


class NotSent(Exception):
    """The provider did not take the message. The text holds no address: it goes to logs."""


class Busy(NotSent):
    """Not now; later it may."""

    def __init__(self, why: str, retry_after: timedelta | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Refused(NotSent):
    """Not this message to this address, ever."""


class Unknown(Exception):
    """The connection broke after the message was handed over and before the provider answered."""
