"""What Twilio tells: the status of a message, and replies with STOP or START. Checked by Twilio's signature."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseForbidden
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from twilio.request_validator import (
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
    get_signature_algorithm,
)

from notifications import consent
from notifications.callbacks.record import Event, Outcome, record
from notifications.channels.twilio_errors import KINDS, SUPPRESS, Kind

OUTCOMES = {
    "delivered": Outcome.DELIVERED,
    "read": Outcome.DELIVERED,
    "undelivered": Outcome.FAILED,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}


def signed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Only with Twilio's signature over our public address and all fields. Without a token nobody can speak here."""

    @csrf_exempt
    @require_POST
    def checked(request: HttpRequest, **words: str) -> HttpResponse:
        algorithm = get_signature_algorithm(request.headers.get(SIGNATURE_SETTINGS_HEADER))
        url = f"{settings.PUBLIC_URL}{request.get_full_path()}"
        signature = request.headers.get(SIGNATURE_HEADER, "")
        token = settings.TWILIO_AUTH_TOKEN
        if not token or not RequestValidator(token).validate(url, request.POST, signature, algorithm):
            return HttpResponseForbidden("signature")
        return view(request, **words)

    return checked


@signed
def status(request: HttpRequest, delivery: str) -> HttpResponse:
    """Twilio sends no id of the event; a message has each status once."""
    sid, word = request.POST.get("MessageSid", ""), request.POST.get("MessageStatus", "")
    if not sid or not word:
        return HttpResponseBadRequest("MessageSid and MessageStatus")
    code = request.POST.get("ErrorCode", "")
    kind = KINDS.get(int(code)) if code.isascii() and code.isdigit() else None
    failed = OUTCOMES.get(word) == Outcome.FAILED
    outcome = Outcome.BOUNCED if failed and kind is Kind.NO_SUCH_NUMBER else OUTCOMES.get(word, "")
    record(
        Event(
            provider="twilio",
            event_id=f"{sid}:{word}",
            kind=word,
            code=code,
            delivery=delivery,
            provider_id=sid,
            outcome=outcome,
            suppress=SUPPRESS.get(kind, "") if failed and kind else "",
            channel="sms",
            address=request.POST.get("To", ""),
        )
    )
    return HttpResponse(status=204)


@signed
def inbound(request: HttpRequest) -> HttpResponse:
    """A reply. What it says is kept only where it is evidence: STOP and START, alone in the message."""
    sid, sender = request.POST.get("MessageSid", ""), request.POST.get("From", "")
    if not sid or not sender:
        return HttpResponseBadRequest("MessageSid and From")
    words = request.POST.get("OptOutType", "") or request.POST.get("Body", "")[:40]
    said = consent.keyword(words)
    record(
        Event(
            provider="twilio",
            event_id=sid,
            kind=said or "reply",
            channel="sms",
            address=sender,
            accepted=False,
            said=said,
            evidence=f"replied {words} ({sid})" if said else "",
        )
    )
    return HttpResponse("<Response/>", content_type="text/xml")
