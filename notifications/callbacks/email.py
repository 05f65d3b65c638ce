"""What providers of email tell, through Anymail's webhooks: delivered, bounced, complained, rejected, unsubscribed.

Anymail checks the secret or the provider's signature and translates the words. Only the provider in use is heard, and
only when there is something to check it by.
"""

from typing import Any

import anymail.urls
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason, tracking
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from notifications.callbacks.record import Cause, Event, Outcome, record
from notifications.channels import email_apis

OUTCOMES = {
    EventType.DELIVERED: Outcome.DELIVERED,
    EventType.BOUNCED: Outcome.BOUNCED,
    EventType.REJECTED: Outcome.FAILED,
    EventType.FAILED: Outcome.FAILED,
    EventType.COMPLAINED: Outcome.COMPLAINED,
}
# What says that an address is none, or wants nothing. BLOCKED does not: that is as often our own sender, our DMARC or a
# sentence of ours, and would bar every customer for good. Nor does SPAM in a bounce, which is what the receiver's
# filter thinks of the text.
CAUSES = {
    (EventType.BOUNCED, RejectReason.INVALID): Cause.BOUNCE,
    (EventType.BOUNCED, RejectReason.BOUNCED): Cause.BOUNCE,
    (EventType.REJECTED, RejectReason.INVALID): Cause.BOUNCE,
    (EventType.REJECTED, RejectReason.BOUNCED): Cause.BOUNCE,
    (EventType.REJECTED, RejectReason.SPAM): Cause.COMPLAINT,
    (EventType.REJECTED, RejectReason.UNSUBSCRIBED): Cause.STOP,
}
# Where a provider says in its own words that a bounce is for now: the mailbox is full, its owner on holiday, its server
# away. Anymail calls all of these bounced. Provider: the place of the word, and the words.
SOFT: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "amazon_ses": (("bounce", "bounceType"), frozenset({"Transient", "Undetermined"})),
    "brevo": (("event",), frozenset({"soft_bounce"})),
    "mailersend": (("type",), frozenset({"activity.soft_bounced"})),
    "mailjet": (("hard_bounce",), frozenset({"False"})),
    "mandrill": (("event",), frozenset({"soft_bounce"})),
    "postmark": (("Type",), frozenset({"SoftBounce"})),
    "resend": (("data", "bounce", "type"), frozenset({"Transient", "Undetermined"})),
    "sparkpost": (("msys", "message_event", "bounce_class"), frozenset({"20", "21", "22", "23", "40", "70"})),
}
# Opened and clicked are not asked for and not kept: what customers read is their own affair.
KEPT = {*OUTCOMES, EventType.QUEUED, EventType.SENT, EventType.DEFERRED, EventType.UNSUBSCRIBED}
_VIEWS = {str(route.pattern).removesuffix("/tracking/"): route.callback for route in anymail.urls.urlpatterns}


@csrf_exempt
def webhook(request: HttpRequest, provider: str) -> HttpResponseBase:
    view = _VIEWS.get(provider)
    if view is None or not email_apis.used() or provider != email_apis.name() or not email_apis.callbacks_secured():
        raise Http404
    answer: HttpResponseBase = view(request)
    return answer


@receiver(tracking, dispatch_uid="notifications.callbacks.email")
def told(sender: Any, event: AnymailTrackingEvent, esp_name: str, **_: Any) -> None:
    if event.event_type not in KEPT:
        return
    kind, address = str(event.event_type), str(event.recipient or "")
    message = str(event.message_id or "")
    cause = "" if _for_now(event) else CAUSES.get((kind, event.reject_reason), "")
    record(
        Event(
            provider=esp_name.lower(),
            event_id=str(event.event_id or f"{message}:{kind}:{event.timestamp}"),
            kind=kind,
            code=str(event.reject_reason or ""),
            delivery=str((event.metadata or {}).get("delivery", "")),
            provider_id=message,
            outcome=OUTCOMES.get(kind, ""),
            suppress=Cause.COMPLAINT if kind == EventType.COMPLAINED else cause,
            channel="email",
            address=address,
            said="stop" if kind == EventType.UNSUBSCRIBED else "",
            evidence="unsubscribed there",
        )
    )


def _for_now(event: AnymailTrackingEvent) -> bool:
    """Whether a bounce says nothing about the mail of tomorrow."""
    place, words = SOFT.get(email_apis.name(), ((), frozenset()))
    found: Any = event.esp_event
    for step in place:
        found = found.get(step) if isinstance(found, dict) else None
    return str(found) in words
