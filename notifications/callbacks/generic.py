"""Events in our own format, for providers that we do not know: signed as Standard Webhooks describes it.

POST {"type": "delivered", "data": {"delivery": "...", "provider": "acme", "code": ""}}, types: accepted, delivered,
failed, bounced, complained; or stop and start with {"channel": "sms", "address": "+49..."}. `webhook-id` is the event.
A bounce or complaint without channel and address is about the customer's address that the message went to.
"""

from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseForbidden
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from pydantic import BaseModel, Field, ValidationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from notifications.callbacks.record import Cause, Event, record

SUPPRESS = {"bounced": Cause.BOUNCE, "complained": Cause.COMPLAINT}


class Data(BaseModel):
    provider: str = Field("generic", max_length=40)
    delivery: str = Field("", max_length=64)
    provider_id: str = Field("", max_length=255)
    code: str = Field("", max_length=40)
    channel: Literal["email", "sms", "webhook", ""] = ""
    address: str = Field("", max_length=500)


class Body(BaseModel):
    type: Literal["accepted", "delivered", "failed", "bounced", "complained", "stop", "start"]
    data: Data


@csrf_exempt
@require_POST
def event(request: HttpRequest) -> HttpResponse:
    if not settings.CALLBACK_SECRET:
        return HttpResponseForbidden("signature")
    try:
        content: Any = Webhook(settings.CALLBACK_SECRET).verify(request.body, dict(request.headers))
    except (WebhookVerificationError, ValueError, RecursionError):
        # ValueError: a signature that is no base64, a body that is no JSON; RecursionError: one that is too deep
        return HttpResponseForbidden("signature")
    try:
        body = Body.model_validate(content)
    except ValidationError as exc:
        return HttpResponseBadRequest(str(exc.error_count()))
    data, said = body.data, body.type in ("stop", "start")
    if said and not (data.channel and data.address):
        return HttpResponseBadRequest("channel and address")
    record(
        Event(
            provider=data.provider,
            event_id=request.headers["webhook-id"],
            kind=body.type,
            code=data.code,
            delivery=data.delivery,
            provider_id=data.provider_id,
            outcome="" if said or body.type == "accepted" else body.type,
            suppress=SUPPRESS.get(body.type, ""),
            channel=data.channel,
            address=data.address,
            accepted=not said,
            said=body.type if said else "",
            evidence=f"said {body.type}",
        )
    )
    return HttpResponse(status=204)
