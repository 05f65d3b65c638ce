"""Writes down what a provider tells, and what follows from it. The views beside this have checked who speaks.

The promise: the same event twice counts once, in whatever order events come; an event of a delivery that we do not
know is kept and answered like any other, since an error would only make the provider repeat it.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from notifications import consent, doubts
from notifications.models import Delivery, ProviderEvent, Suppression

Outcome, Cause = Delivery.Outcome, Suppression.Cause
# A later outcome never makes a worse one better: callbacks overtake each other.
RANKS = ["", Outcome.DELIVERED, Outcome.FAILED, Outcome.BOUNCED, Outcome.COMPLAINED]


@dataclass(frozen=True)
class Event:
    provider: str
    event_id: str  # the provider's; the same one twice is one event
    kind: str  # in the provider's words
    code: str = ""
    delivery: str = ""  # the id, where the provider gives it back
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
    delivery = _delivery(event)
    with transaction.atomic():
        _, new = ProviderEvent.objects.get_or_create(
            provider=event.provider[:40],
            event_id=event.event_id[:200],
            defaults={"kind": event.kind[:20], "code": event.code[:40], "delivery": delivery},
        )
        if not new:
            return False
        if event.suppress and event.address:
            detail = f"{event.provider} {event.kind} {event.code}".strip()
            consent.suppress(event.channel, event.address, event.suppress, detail)
        if event.said and event.address:
            verb = consent.stop if event.said == "stop" else consent.start
            verb(event.channel, event.address, actor=f"the customer, by {event.provider}", evidence=event.evidence)
        if delivery is not None:
            _outcome(delivery, event)  # last: replanning locks bookings before deliveries, as everybody does
        return True


def _delivery(event: Event) -> Delivery | None:
    """By our id, which the provider gives back, or by the provider's own."""
    rows = Delivery.objects.all()
    try:
        found = rows.filter(pk=UUID(event.delivery)).first() if event.delivery else None
    except ValueError:
        found = None
    if found is None and event.provider_id:
        found = rows.filter(provider_id=event.provider_id).first()
    return found


def _outcome(delivery: Delivery, event: Event) -> None:
    row = Delivery.objects.filter(pk=delivery.pk)
    if event.outcome:
        better = RANKS[: RANKS.index(event.outcome)]
        row.filter(outcome__in=better).update(outcome=event.outcome, outcome_at=Now())
    if event.accepted:
        doubts.resolve([delivery.pk], "sent", event.provider, event.kind, provider_id=event.provider_id)
