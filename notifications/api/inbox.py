"""/inbox: a customer's messages in the app, for the app itself; and the tokens with which it asks.

The promise: whatever ids are asked for, an app reads and changes its own customer's messages only.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api import idempotency
from jobs.api.callers import caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from notifications import inbox
from notifications.api import inbox_tokens, reach
from notifications.api.fields import Id, In, StrictId
from notifications.api.rows import listed
from notifications.models import Customer

router = Router(tags=["inbox"])
APP = [inbox_tokens.Token()]

Level = Literal["info", "success", "warning", "error"]
Ids = Annotated[list[StrictId], Field(min_length=1, max_length=200)]
DAY = int(inbox_tokens.LONGEST.total_seconds())


class MessageOut(Schema):
    id: int
    title: str = Field(examples=["Your appointment is tomorrow"])
    body: str
    level: Level
    metadata: dict[str, Any] = Field(description="what it is about: booking or payment, its id, what kind of message")
    created_at: datetime
    read_at: datetime | None
    archived_at: datetime | None
    expires_at: datetime | None = Field(description="it is not shown any more then")


class Filters(In):
    unread: bool = False
    archived: bool = Field(False, description="those that were archived, instead of the others")
    level: Level | None = None


class Which(In):
    ids: Ids | None = Field(None, description="these; null: all")


class Those(In):
    ids: Ids


class Count(Schema):
    number: int = Field(description="how many there are, or were changed")


class TokenIn(In):
    lifetime: Annotated[int, Field(strict=True, ge=60, le=DAY, description="seconds")] = 3600


class TokenOut(Schema):
    token: str = Field(description="for the customer's app, as Authorization: Bearer inbox_...")
    expires_at: datetime


@router.post(
    "/customers/{customer_id}/inbox-token",
    auth=needs("inbox:issue"),
    response={201: TokenOut},
    openapi_extra=idempotency.NOT_KEPT,
)
def issue_inbox_token(request: HttpRequest, customer_id: Id, body: TokenIn) -> Any:
    """For the app of a customer who is logged in there. It ends with its time, and with the key that issued it."""
    who = caller(request)
    customer = reach.one(reach.customers(who), customer_id, "customer")
    token, over = inbox_tokens.issue(customer, timedelta(seconds=body.lifetime), by=who.name)
    return Status(201, {"token": token, "expires_at": over})


@router.get("/inbox", auth=APP, response=Page[MessageOut])
def list_messages(request: HttpRequest, filters: Query[Filters], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first."""
    level = filters.level or ""
    rows = inbox.messages(_mine(request), unread=filters.unread, archived=filters.archived, level=level)
    return listed(page(rows, limit, cursor))


@router.get("/inbox/unread", auth=APP, response=Count)
def count_unread(request: HttpRequest) -> Any:
    """For the number on the app's bell."""
    return {"number": inbox.unread_count(_mine(request))}


@router.post("/inbox/read", auth=APP, response=Count)
def mark_read(request: HttpRequest, body: Which) -> Any:
    """These, or all. Said twice, the time of the first reading stays."""
    return {"number": inbox.mark_read(_mine(request), body.ids)}


@router.post("/inbox/unread", auth=APP, response=Count)
def mark_unread(request: HttpRequest, body: Those) -> Any:
    """As if they had not been opened."""
    return {"number": inbox.mark_unread(_mine(request), body.ids)}


@router.post("/inbox/archive", auth=APP, response=Count)
def archive_messages(request: HttpRequest, body: Which) -> Any:
    """These, or all that were read."""
    return {"number": inbox.archive(_mine(request), body.ids)}


@router.post("/inbox/restore", auth=APP, response=Count)
def restore_messages(request: HttpRequest, body: Those) -> Any:
    """Out of the archive."""
    return {"number": inbox.restore(_mine(request), body.ids)}


def _mine(request: HttpRequest) -> Customer:
    reader: inbox_tokens.Reader = request.auth  # type: ignore[attr-defined]
    if reader.customer is None:
        raise LookupError("a reader without a customer")
    return reader.customer
