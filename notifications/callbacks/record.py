"""Writes down what a provider tells, and what follows from it. The views beside this have checked who speaks.

The promise: the same event twice counts once, in whatever order events come; an event of a message that we do not
know is kept and answered like any other, since an error would only make the provider repeat it.
"""

from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from jobs.ids import parsed
from notifications import consent, destinations, direct_ends, doubts, outcomes, reach, reminders
from notifications.models import Delivery, DirectMessage, ProviderEvent, Suppression

Outcome, Cause = Delivery.Outcome, Suppression.Cause
# A later outcome never makes a worse one better: callbacks overtake each other.
RANKS = ["", Outcome.DELIVERED, Outcome.FAILED, Outcome.BOUNCED, Outcome.COMPLAINED]


@dataclass(frozen=True)
class Event:
    provider: str
    event_id: str  # the provider's; the same one twice is one event
    kind: str  # in the provider's words
    code: str = ""
    delivery: str = ""  # its id, or a direct message's, where the provider gives it back
    provider_id: str = ""  # by which the provider knows the message
    outcome: str = ""  # of Delivery.Outcome, or empty
    suppress: str = ""  # a cause of Suppression, when nothing more may go to `address`
    channel: str = ""
    address: str = ""  # not stored with the event
    accepted: bool = True  # the provider has, or had, the message: what was in doubt is not any more
    said: str = ""  # "stop" or "start", by whoever has `address`
    evidence: str = ""  # of what was said


def record(event: Event) -> bool:
    """Returns False for an event that was told before.

    Event and consequences are one transaction: what we could not write, the provider tells again.
    """
    plain: dict[str, Any] = {
        name: value.replace("\x00", "").strip() for name, value in vars(event).items() if isinstance(value, str)
    }
    event = replace(event, **plain)  # no database keeps a NUL, and PostgreSQL would refuse the question
    message = _message(event)
    about = "direct" if isinstance(message, DirectMessage) else "delivery"
    with transaction.atomic():
        _, new = ProviderEvent.objects.get_or_create(
            provider=event.provider[:40],
            event_id=event.event_id[:200],
            defaults={"kind": event.kind[:20], "code": event.code[:40], about: message},
        )
        if not new:
            return False
        if event.suppress and (place := _place(event, message)):
            detail = f"{event.provider} {event.kind} {event.code}".strip()
            consent.suppress(*place, event.suppress, detail)
        if event.said and event.address:
            verb = consent.stop if event.said == "stop" else consent.start
            verb(event.channel, event.address, actor=f"the customer, by {event.provider}", evidence=event.evidence)
        if message is not None:
            _outcome(message, event)  # last: replanning locks bookings before deliveries, as everybody does
        return True


def _message(event: Event) -> Delivery | DirectMessage | None:
    """By our id, which the provider gives back, or by the provider's own."""
    ways: list[dict[str, object]] = []
    if pk := parsed(event.delivery):
        ways.append({"pk": pk})
    if event.provider_id:
        ways.append({"provider_id": event.provider_id})
    for way in ways:
        for rows in (Delivery.objects.filter(**way), DirectMessage.objects.filter(**way)):
            if found := rows.first():
                return found
    return None


def _place(event: Event, message: Delivery | DirectMessage | None) -> tuple[str, str] | None:
    """The channel and the address that must not be used any more. Where only the message was named: the customer's, if
    that is where the message went. An address that they had then and have no more is not known, and bars nobody.
    """
    channel = event.channel or (message.channel if message else "")
    if event.address and channel in reach.COLUMNS:
        return channel, event.address
    if message is None or message.channel not in reach.COLUMNS:
        return None
    address = message.customer.address(message.channel) if message.customer else getattr(message, "address", "")
    return (message.channel, address) if address and destinations.went_to(message, address) else None


def _outcome(message: Delivery | DirectMessage, event: Event) -> None:
    unreached = isinstance(message, Delivery) and event.outcome in Delivery.UNREACHED
    if isinstance(message, Delivery) and unreached:
        outcomes.hold(message)
    if event.accepted:
        resolve = doubts.resolve if isinstance(message, Delivery) else direct_ends.resolve
        resolve([message.pk], "sent", event.provider, event.kind, provider_id=event.provider_id)
    if unreached and outcomes.did_not_arrive(message.pk, event.outcome, reminders.job_for):
        return
    if event.outcome:
        better = RANKS[: RANKS.index(event.outcome)]
        row = type(message)._default_manager.filter(pk=message.pk)
        row.filter(outcome__in=better).update(outcome=event.outcome, outcome_at=Now())
