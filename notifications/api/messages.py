"""/messages: one message to one recipient, of no booking and no payment: a welcome, an answer. Sent once, by a job.

The promise is that of `direct`: an `external_id`, or an Idempotency-Key, makes sending it twice sending it once.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field, ValidationError

from jobs.api.callers import caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid, not_found
from jobs.durable import Priority
from notifications import direct, direct_ends, privacy, trials
from notifications.api import reach
from notifications.api.fields import In, Moment, StrictId
from notifications.api.scopes import REVEAL
from notifications.models import DirectMessage

router = Router(tags=["messages"])

NAMES = UUID("7f9c8a52-3f0e-4d0e-9a67-5b5a3c9d1e11")  # of ids that are made of external ids
SAME = {"channel", "address", "subject", "text", "html", "variables", "level", "metadata"}
THEIRS = {"customer_id": "customer", "message": "template", "useful_until": "useful_for"}
Value = str | int | bool | None
Named = Annotated[str, Field(max_length=500)]


class MessageIn(In):
    """To a customer or an address; by a template, or in your own words (Liquid)."""

    external_id: Annotated[str, Field(max_length=255, description="yours: the same again is the first message")] = ""
    channel: Literal["email", "sms", "inbox"]
    customer: StrictId | None = None
    address: Named = ""
    template: Annotated[str, Field(max_length=100)] = ""
    subject: Named = ""
    text: Annotated[str, Field(max_length=100_000)] = ""
    html: Annotated[str, Field(max_length=100_000)] = ""
    variables: dict[str, Value] = Field(default={}, max_length=100)
    level: Literal["info", "success", "warning", "error"] = "info"
    metadata: dict[str, Value] = Field(default={}, max_length=100, description="for the customer's app")
    priority: Literal["low", "normal", "high", "urgent"] = "normal"
    send_at: Moment | None = Field(None, description="null: now")
    useful_for: Annotated[int, Field(strict=True, ge=1, le=31_536_000)] | None = Field(
        None, description="seconds; not sent later than that"
    )


class DirectOut(Schema):
    id: UUID = Field(description="also of its job")
    channel: str
    customer: int | None
    address: str = Field(description="masked without customers:reveal")
    state: str = Field(description="planned, sending, sent, refused, in_doubt, skipped")
    reason: str
    send_at: datetime
    sent_at: datetime | None
    outcome: str = Field(description="told by the provider later: delivered, bounced, complained, failed")
    outcome_at: datetime | None


class Withdrawn(Schema):
    withdrawn: bool = Field(description="false: it was sent, refused or under way before")


@router.post("/messages", auth=needs("messages:send"), response={200: DirectOut, 201: DirectOut})
def send_message(request: HttpRequest, response: HttpResponse, body: MessageIn) -> Any:
    """Kept, and sent by a job once it is due. Never twice: what nobody knows is told as in_doubt.

    An external_id that is there already: 200 for the same content, else 409.
    """
    who = caller(request)
    if body.address and not who.may(REVEAL):
        raise Problem(403, f"Writing to an address needs {REVEAL}; name a customer.")
    said = body.model_dump(exclude={"external_id", "priority"}) | {"priority": Priority.of(body.priority)}
    pk = uuid5(NAMES, f"{_tenant(request, body)}\n{body.external_id}") if body.external_id else None
    try:
        wanted = direct.Wanted.model_validate(said)
        message, new = direct.kept(wanted, who.person(), pk=pk)
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(map(str, first["loc"])) or "text"
        raise invalid(field, str(first["msg"]).removeprefix("Value error, ")) from exc
    except ValueError as exc:
        raise invalid("customer" if "customer" in str(exc) else "text", str(exc)) from exc
    if not new:
        _insist_same(message, wanted)
    response["Location"] = f"{request.path}/{message.pk}"
    return Status(201 if new else 200, _told(request, message))


def _insist_same(message: DirectMessage, wanted: direct.Wanted) -> None:
    """Raises Problem 409 where the first message of that external id says something else."""
    asked: dict[str, Any] = wanted.model_dump(include=SAME)
    asked |= {"customer_id": wanted.customer, "message": wanted.template}
    if wanted.address:
        asked["address"] = trials.checked(wanted.channel, wanted.address)
    if wanted.send_at:  # without one it was to go at once, whenever that was
        asked["send_at"] = wanted.send_at
    if wanted.useful_for:
        asked["useful_until"] = message.send_at + wanted.useful_for
    differing = [THEIRS.get(name, name) for name, value in asked.items() if getattr(message, name) != value]
    if differing:
        told_of = f"There is message {message.pk} of this external_id, with another {', '.join(differing)}."
        raise Problem(409, f"{told_of} Take another external_id.", message=str(message.pk))


@router.get("/messages", auth=needs("messages:read"), response=Page[DirectOut])
def list_sent_messages(request: HttpRequest, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first."""
    found = page(_all(request), limit, cursor)
    return found | {"items": [_told(request, one) for one in found["items"]]}


@router.get("/messages/{message_id}", auth=needs("messages:read"), response=DirectOut)
def get_message(request: HttpRequest, message_id: UUID) -> Any:
    """What became of it."""
    return _told(request, _one(request, message_id))


@router.post("/messages/{message_id}/withdraw", auth=needs("messages:send"), response=Withdrawn)
def withdraw_message(request: HttpRequest, message_id: UUID) -> Any:
    """Not sent, if it still waits."""
    message = _one(request, message_id)
    return {"withdrawn": bool(direct_ends.withdraw([message.pk], caller(request).name))}


def _tenant(request: HttpRequest, body: MessageIn) -> str:
    """Whose external ids these are: a key may be rotated, and two programs of one business may tell the same."""
    mine = reach.customers(caller(request)).filter(pk=body.customer or 0)
    return mine.values_list("tenant", flat=True).first() or caller(request).person().tenant


def _all(request: HttpRequest) -> Any:
    return caller(request).of_tenant(DirectMessage.objects.all())


def _one(request: HttpRequest, pk: UUID) -> DirectMessage:
    message: DirectMessage | None = _all(request).filter(pk=pk).first()
    if message is None:
        raise not_found("message")
    return message


def _told(request: HttpRequest, message: DirectMessage) -> dict[str, Any]:
    columns = ("id", "channel", "state", "reason", "send_at", "sent_at", "outcome", "outcome_at")
    address = message.address if caller(request).may(REVEAL) else privacy.address(message.address)
    return {name: getattr(message, name) for name in columns} | {"customer": message.customer_id, "address": address}
