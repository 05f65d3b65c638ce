"""/bulk-changes: cancel, move or write to all bookings that match a filter; how far it is; called off.

The change is a job: it is answered before it is made (202), and `Location` tells how far it is.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.api.callers import Caller, caller, needs
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid
from notifications import bulk, privacy
from notifications.api import reach
from notifications.api.fields import Channels, Clock, Day, DryRun, Id, In, Moment, Seconds, StrictId, Tenant, line
from notifications.api.refusals import refusing
from notifications.api.rows import columns, listed
from notifications.models import BulkChange, Delivery
from notifications.selections import MOST

router = Router(tags=["bulk changes"])

Kind = Literal["cancel", "move", "message"]


class SelectionIn(In):
    """Which bookings, of those that are still on. All that is said has to hold; nothing at all is refused."""

    on: Day | None = Field(None, description="by the venue's clocks")
    starts_from: Moment | None = None
    starts_before: Moment | None = None
    service: str = Field("", max_length=200)
    location: str = Field("", max_length=300, examples=["High Street 1"])
    customer: StrictId | None = None
    search: str = Field("", max_length=200, description="as in the list of bookings; needs customers:reveal")
    ids: Annotated[list[StrictId], Field(max_length=MOST, description="only these")] = []


class BulkMessageIn(In):
    """What to write to the customers, in Liquid."""

    subject: str = Field("", max_length=500)
    text: str = Field(min_length=1, max_length=100_000, examples=["Dear {{ customer.name }}, we are closed."])
    sms: str = Field("", max_length=2_000, description="instead of the text, where that is too long for one SMS")
    channels: Channels = Field(["email", "sms"], min_length=1, description="by the customer's preference")
    useful_for: Seconds | None = Field(None, description="null: until the booking starts")
    quiet_from: Clock | None = Field("21:00", description="by the customer's clocks; both null: at any hour")
    quiet_until: Clock | None = "08:00"


class ChangeIn(In):
    tenant: Tenant = None
    kind: Kind
    selection: SelectionIn
    days: Annotated[int, Field(strict=True, ge=-bulk.FURTHEST, le=bulk.FURTHEST)] = Field(
        0, description="of a move: how far; times on the wall stay, negative is back"
    )
    message: BulkMessageIn | None = None
    reason: line(1_000, "burst pipe", "kept with the change, not sent")  # type: ignore[valid-type]


class Trying(In):
    dry_run: DryRun = False


class ExampleOut(Schema):
    channel: str
    subject: str
    text: str
    problem: str = Field(description="why its words cannot be said")


class ReachedOut(Schema):
    looked_at: int
    one_in: int = Field(description="of very many a sample is looked at; the numbers are the sample's")
    channels: dict[str, int]
    not_reached: dict[str, int] = Field(description="by why not")
    later: int = Field(description="of those who are reached: not at once, because of their quiet hours")
    examples: list[ExampleOut] = Field(description="as they would read; none without customers:reveal")


class BulkPreview(Schema):
    """What it would touch, if it happened now. Nothing was changed."""

    bookings: int
    customers: int
    first: datetime | None
    last: datetime | None
    reminders: dict[str, int] = Field(description="of these bookings, by state")
    message: ReachedOut | None


class BulkChangeOut(Schema):
    id: int
    tenant: str
    kind: Kind
    filters: dict[str, Any] = Field(description="what was searched for is masked without customers:reveal")
    parameters: dict[str, Any]
    reason: str
    actor: str
    total: int | None = Field(description="bookings that matched when it was asked for")
    done: int
    counts: dict[str, int] = Field(description="what became of bookings and reminders")
    job_id: UUID | None = Field(description="the job that makes the change")
    created_at: datetime
    finished_at: datetime | None
    cancelled_at: datetime | None
    cancelled_by: str


class MessagesOut(Schema):
    channel: str
    state: str
    reason: str
    number: int


class BulkWithMessages(BulkChangeOut):
    messages: list[MessagesOut] = Field(description="how many, by channel, state and reason")


def told(who: Caller, row: BulkChange) -> dict[str, Any]:
    filters = dict(row.filters)
    if "search" in filters and not reach.reveals(who):
        filters["search"] = privacy.nothing(filters["search"])
    return columns(row) | {"filters": filters}


@router.post("/bulk-changes", auth=needs("bulk:run"), response={202: BulkChangeOut, 200: BulkPreview})
def start_bulk_change(request: HttpRequest, body: ChangeIn, trying: Query[Trying], response: HttpResponse) -> Any:
    """With dry_run: 200 and what it would touch. Else a job makes the change. Send an Idempotency-Key."""
    who = caller(request)
    asked = _asked(who, body)
    if trying.dry_run:
        with refusing("message"):
            return Status(200, _previewed(who, bulk.preview(**asked)))
    with refusing("message" if body.message else "reason"):
        change = bulk.start(**asked, reason=body.reason, actor=who.name[:150])
    response["Location"] = f"/api/v1/bulk-changes/{change.pk}"
    return Status(202, told(who, change))


@router.get("/bulk-changes", auth=needs("bulk:read"), response=Page[BulkChangeOut])
def list_bulk_changes(request: HttpRequest, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first."""
    who = caller(request)
    return listed(page(_changes(who), limit, cursor), lambda row: told(who, row))


@router.get("/bulk-changes/{change_id}", auth=needs("bulk:read"), response=BulkWithMessages)
def get_bulk_change(request: HttpRequest, change_id: Id) -> Any:
    """How far it is."""
    who = caller(request)
    change = reach.one(_changes(who), change_id, "bulk change")
    groups = Delivery.objects.filter(bulk=change).values("channel", "state", "reason").annotate(number=Count("pk"))
    return told(who, change) | {"messages": list(groups.order_by("channel", "state", "reason"))}


@router.post("/bulk-changes/{change_id}/call-off", auth=needs("bulk:run"), response=BulkChangeOut)
def call_off_bulk_change(request: HttpRequest, change_id: Id) -> Any:
    """No more bookings are changed, and what has not gone out is withdrawn; what was changed stays so."""
    who = caller(request)
    change = reach.one(_changes(who), change_id, "bulk change")
    if not bulk.call_off(change, actor=who.name[:150]):
        raise Problem(409, "It had been called off before.")
    change.refresh_from_db()
    return told(who, change)


def _changes(who: Caller) -> Any:
    return who.of_tenant(BulkChange.objects.all())


def _asked(who: Caller, body: ChangeIn) -> dict[str, Any]:
    """What `bulk` takes. Raises Problem."""
    if body.selection.search:
        reach.need_reveal(who, "selection.search", "it looks at names and addresses of customers")
    if (body.kind == "move") != bool(body.days):
        raise invalid("days", "a move needs the days it goes, and nothing else has any")
    if body.kind == "message" and body.message is None:
        raise invalid("message", "say what to write")
    with refusing("selection"):
        said = body.selection.model_dump(exclude_defaults=True)
        selection = bulk.Selection(tenant=who.tenant_for(body.tenant), **said)
    return {
        "kind": bulk.Kind(body.kind),
        "selection": selection,
        "days": body.days,
        "message": _circular(body.message) if body.message else None,
    }


def _circular(message: BulkMessageIn) -> bulk.Circular:
    said = message.model_dump()
    said["useful_for"] = timedelta(seconds=message.useful_for) if message.useful_for else None
    with refusing("message"):
        circular = bulk.Circular.model_validate(said)
    if wrong := circular.wrong():
        errors = [{"field": f"message.{part}", "message": why} for part, why in wrong]
        raise Problem(422, f"{errors[0]['field']}: {errors[0]['message']}", errors=errors)
    return circular


def _previewed(who: Caller, preview: bulk.Preview) -> dict[str, Any]:
    seen = preview.message
    names = ("bookings", "customers", "first", "last", "reminders")
    shown = {name: getattr(preview, name) for name in names}
    if seen is None:
        return shown | {"message": None}
    examples = [
        {
            "channel": one.channel,
            "subject": one.message.subject if one.message else "",
            "text": one.message.text if one.message else "",
            "problem": one.problem,
        }
        for one in (seen.examples if reach.reveals(who) else ())
    ]
    numbers = {name: getattr(seen, name) for name in ("looked_at", "one_in", "channels", "later")}
    return shown | {"message": numbers | {"not_reached": seen.reasons, "examples": examples}}
