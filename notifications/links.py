"""The links in messages: signed, so that who has one may do what it says and nothing else.

Used by `rendering` and `pages`. The promise: a link goes on working when the secret key is changed, as long as the old
one is in SECRET_KEY_FALLBACKS.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.urls import reverse

from notifications.models import Booking, Channel, Customer

PAGES = "notifications.pages"  # at the root: all addresses together would be a second's import in each pool process


class Broken(ValueError):
    """The link was cut, changed, or is signed with a key that is not known any more."""


@dataclass(frozen=True)
class Unsubscribe:
    """Who does not want what any more."""

    customer: int
    channel: str


@dataclass(frozen=True)
class Confirm:
    """Which booking, at which of its times."""

    booking: int
    revision: int


def unsubscribe_url(customer: Customer, channel: str) -> str:
    return _url("unsubscribe", [customer.pk, Channel(channel).value])


def confirm_url(booking: Booking) -> str:
    return _url("confirm", [booking.pk, booking.revision])


def read_unsubscribe(token: str) -> Unsubscribe:
    customer, channel = _read("unsubscribe", token)
    return Unsubscribe(customer, channel)


def read_confirm(token: str) -> Confirm:
    booking, revision = _read("confirm", token)
    return Confirm(booking, revision)


def _url(name: str, says: list[int | str]) -> str:
    """`name` is the page and the salt: a link to confirm with is no link to unsubscribe with.

    Without a time: links do not expire, and a message that is rendered again has to be the same one.
    """
    token = _signer(name).sign_object(says)
    return f"{settings.PUBLIC_URL}{reverse(name, urlconf=PAGES, args=[token])}"


def _read(name: str, token: str) -> list[Any]:
    try:
        said: list[Any] = _signer(name).unsign_object(token)
    except signing.BadSignature as exc:
        raise Broken("This link is not whole. Open it from the message, or copy all of it.") from exc
    return said


def _signer(name: str) -> signing.Signer:
    return signing.Signer(salt=f"punctual.{name}")
