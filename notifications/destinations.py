"""To which address a message went, without keeping the address.

The intent fences write it, `callbacks.record` asks: what a provider tells late is about the address of then, which need
not be the customer's of now. Kept is a code made with SECRET_KEY, since a bare hash of a phone number is soon guessed.
"""

from typing import Any

from django.conf import settings
from django.db.models import Case, Q, Value, When
from django.utils.crypto import salted_hmac

from notifications.models import Delivery, DirectMessage
from notifications.reach import normalised

LENGTH = 32  # hexadecimal digits: 128 bits
SEVERAL = "several"  # an attempt in doubt went to one address, a later one to another


def code(channel: str, address: str, secret: str | None = None) -> str:
    """32 hexadecimal digits, the same for all spellings of an address; by `secret`, or SECRET_KEY."""
    made = salted_hmac(__name__, f"{channel}:{normalised(channel, address)}", secret, algorithm="sha256")
    return made.hexdigest()[:LENGTH]


def intended(channel: str, address: str) -> dict[str, Any]:
    """The column for an intent to send there. While an earlier attempt may have been taken, its address counts too."""
    mine = code(channel, address)
    elsewhere = When(Q(doubts__gt=0) & ~Q(sent_to=mine), then=Value(SEVERAL))
    return {"sent_to": Case(elsewhere, default=Value(mine))}


def went_to(message: Delivery | DirectMessage, address: str) -> bool:
    """Whether what is told of the message may be about that address. Of messages older than the column: yes."""
    if not message.sent_to:
        return True
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return message.sent_to in {code(message.channel, address, secret) for secret in secrets}
