"""What a channel guarantees when nobody knows whether its provider took a message.

Used by `sending`, `direct_sending`, `doubts`. `hold`: it is in doubt, and never sent again by itself. `resend`: it is
sent again, a few times at most, and every repeat is counted. `keyed`: it is sent again under the same key, by which the
receiver knows a repetition, for as long as it remembers keys; then it is held. The promise: a doubt that nobody
resolved outlives whatever later attempts bring.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Case, F, PositiveSmallIntegerField, Q, Value, When

from notifications.channels import CHANNELS
from notifications.models import Delivery

QUARANTINE = timedelta(seconds=10)  # a request begins within this time of its intent, or not at all
REQUEST = timedelta(seconds=75)  # and is over after this: the time limit of `deliver`
REPEATS = 3  # a provider that takes everything and never answers must not fill somebody's mailbox
POLICIES = ("hold", "resend", "keyed")
COUNT = PositiveSmallIntegerField()
Outcome = Delivery.Outcome


class Attempted(Protocol):
    """What the policies look at: a delivery, or a direct message."""

    @property
    def doubts(self) -> int: ...
    @property
    def send_at(self) -> datetime: ...
    @property
    def intent_at(self) -> datetime | None: ...


@dataclass(frozen=True)
class Guarantee:
    policy: str
    keys_last: timedelta | None  # how long the receiver remembers a key; None: for good

    def allows_another(self, delivery: Attempted, now: datetime) -> bool:
        """Whether to send again, with `delivery.doubts` attempts of which nobody knows what became."""
        if self.policy == "resend":
            return delivery.doubts < REPEATS
        # No request was made before send_at: so the key is at most that old.
        return self.policy == "keyed" and (self.keys_last is None or now < delivery.send_at + self.keys_last)


def of(channel: str) -> Guarantee:
    """By the settings, or by what the channel says of itself. Raises ImproperlyConfigured for what it cannot keep."""
    default = CHANNELS[channel].default_policy
    policy = settings.CHANNEL_POLICIES.get(channel) or default
    if policy not in POLICIES or (policy == "keyed" and default != "keyed" and channel not in settings.KEYS_LAST_HOURS):
        raise ImproperlyConfigured(
            f"CHANNEL_POLICIES: {channel}={policy}. There are {', '.join(POLICIES)}; keyed needs a provider that knows "
            f"repetitions by their key, and in KEYS_LAST_HOURS for how many hours."
        )
    hours = settings.KEYS_LAST_HOURS.get(channel)
    return Guarantee(policy, timedelta(hours=float(hours)) if hours else None)


def nothing_open_at(delivery: Attempted) -> datetime:
    """From when on the request of the last intent is certainly over, whatever became of its worker."""
    since: datetime = delivery.intent_at or delivery.send_at
    return since + QUARANTINE + REQUEST


def unknown(state: Delivery.State, why: str) -> dict[str, Any]:
    """The columns for an attempt of which nobody knows whether it was taken: `state`, and one doubt more.

    A callback may have been faster than the answer: what the provider delivered or bounced, it has taken.
    """
    told = Q(outcome__in=[Outcome.DELIVERED, Outcome.BOUNCED, Outcome.COMPLAINED])
    return {
        "state": Case(When(told, then=Value(Delivery.State.SENT)), default=Value(state)),
        "doubts": Case(When(told, then=F("doubts")), default=F("doubts") + 1, output_field=COUNT),
        "sent_at": Case(When(told, then=F("intent_at")), default=F("sent_at")),
        "detail": why,
    }


def taken(provider_id: str) -> tuple[Q, dict[str, Any]]:
    """What is known when somebody says that a message in doubt was taken: of which sent ones that is news, and columns.

    A provider that names its message speaks of one attempt. If that is the one that was answered, the doubt about
    another is as it was. Where the receiver knows keys all attempts are one message; and a person speaks of all.
    """
    if not provider_id:
        return Q(), {"doubts": 0}
    keyed = Q(channel__in=[name for name in CHANNELS if of(name).policy == "keyed"])
    one_less = When(doubts__gt=0, then=F("doubts") - 1)
    return keyed | ~Q(provider_id=provider_id), {
        "doubts": Case(When(keyed, then=Value(0)), one_less, default=F("doubts"), output_field=COUNT),
        # The first stays: by it the provider's other callbacks are found.
        "provider_id": Case(When(provider_id="", then=Value(provider_id)), default=F("provider_id")),
    }


def unless_in_doubt(state: Delivery.State, **others: Any) -> dict[str, Any]:
    """The columns for an end other than "sent": with an unresolved doubt it may have been sent all the same.

    Without this a mail that was taken and never answered would end as "refused", or as "cancelled" with a receipt.
    """
    doubtful = When(doubts__gt=0, then=Value(Delivery.State.IN_DOUBT))
    return {"state": Case(doubtful, default=Value(state)), **others}
