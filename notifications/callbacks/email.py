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
CAUSES = {
    RejectReason.INVALID: Cause.BOUNCE,
    RejectReason.BOUNCED: Cause.BOUNCE,
    RejectReason.SPAM: Cause.COMPLAINT,
    RejectReason.UNSUBSCRIBED: Cause.STOP,
    RejectReason.BLOCKED: Cause.BLOCKED,
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
    cause = CAUSES.get(event.reject_reason, "") if kind in (EventType.BOUNCED, EventType.REJECTED) else ""
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
