"""/jobs/orders: one verb for all jobs that match, first as a preview, then as an order that is carried out.

`bulk_orders` does it: a few jobs within the request, more by a durable job that resumes after any accident. Orders are
seen by who gave them, and by callers who see all jobs.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field, StrictBool

from jobs import bulk, bulk_orders
from jobs.api.asked import Asked, Moment, Reason, Seconds
from jobs.api.callers import Caller, caller, needs
from jobs.api.calls import SCALES, Level, Milliseconds, Scale, level_of
from jobs.api.filters import JobFilter
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid, not_found
from jobs.api.scopes import SCOPES
from jobs.api.verbs import moment_of
from jobs.bulk_orders import Preview, Wish
from jobs.listing import Selection
from jobs.models import Order

router = Router(tags=["orders"])
Verb = Literal["cancel", "retry", "run_now", "postpone", "reprioritise"]
SCOPE_OF = {permission: scope for scope, permission in SCOPES.items()}
ROOT = "/api/v1/jobs/orders"


class OrderCall(Asked):
    """What shall be done with which jobs. Jobs that are made after it was given are not touched."""

    verb: Verb
    which: JobFilter = Field(description="must say something: an order to all jobs is not given by mistake")
    reason: Reason = Field(min_length=1, description="why; kept with each job")
    dry_run: StrictBool = Field(False, description="true: only tell how many there are; changes nothing")
    at_most: int | None = Field(
        None, strict=True, ge=0, description="refuse it (409) when it would touch more jobs than that"
    )
    per_minute: int | None = Field(
        None, strict=True, ge=1, le=1_000_000, description="of retry: so many a minute; null: at once"
    )
    run_at: Moment | None = Field(None, description="of postpone: until this moment")
    delay: Seconds | None = Field(None, description="of postpone: by so many seconds, from each job's own time")
    delay_ms: Milliseconds | None = Field(None, description="of postpone: the same in milliseconds")
    priority: Level | None = Field(None, description="of reprioritise")
    priority_scale: Scale | None = Field(None, description=SCALES)


class OrderPreview(Schema):
    """What an order would do now."""

    at: datetime = Field(description="by the database's clock")
    total: int = Field(description="how many jobs it would touch; above 10,000: more than that")
    counts: dict[str, int] = Field(description="the jobs that match, by state", examples=[{"failed": 12, "running": 1}])
    reach: list[str] = Field(description="the states that the verb applies to")


class OrderOut(Schema):
    id: UUID
    verb: str
    which: dict[str, Any] = Field(description="the filter; a search is not told, it may be for somebody's name")
    parameters: dict[str, Any]
    reason: str
    by: str
    asked_at: datetime
    total: int = Field(description="how many it seemed to be; above 10,000 they are counted when it begins")
    done: int = Field(description="how many it came to so far")
    counts: dict[str, int] = Field(description="what became of them", examples=[{"cancelled": 11, "in flight": 1}])
    job_id: UUID | None = Field(description="the job that carries it out; null: it was done at once")
    finished_at: datetime | None
    called_off_at: datetime | None
    called_off_by: str


class OrderFilter(Asked):
    verb: Verb | None = None
    is_open: bool | None = Field(None, description="neither finished nor called off")


@router.post("", auth=needs(None), response={202: OrderOut, 200: OrderPreview})
def create_order(request: HttpRequest, response: HttpResponse, call: OrderCall) -> Any:
    """Needs the scope of its verb: jobs:cancel, jobs:retry, jobs:postpone or jobs:reprioritise.

    With dry_run: 200, and what it would do. Else 202 with the order, which tells how far it is.
    """
    who = caller(request)
    who.need(SCOPE_OF[bulk_orders.PERMISSIONS[Order.Verb(call.verb)]])
    if call.which.selection(who).model_copy(update={"tasks": ()}) == Selection():
        raise invalid("which", "say of which jobs: an order to all of them is not given by mistake")
    selection, parameters = call.which.selection(who), parameters_of(call)
    seen = bulk_orders.preview(call.verb, selection, who.scope, call.at_most or 0)
    if call.dry_run:
        return Status(200, _preview(seen))
    if call.at_most is not None and seen.total > call.at_most:
        raise Problem(409, f"at_most: it would touch {seen.total} jobs or more; that is too many.", total=seen.total)
    order = bulk_orders.start(Wish(call.verb, selection, who.scope, who.name, call.reason, parameters), seen)
    response["Location"] = f"{ROOT}/{order.pk}"
    return Status(202, shown(order))


@router.get("", auth=needs("jobs:read"), response=Page[OrderOut])
def list_orders(request: HttpRequest, which: Query[OrderFilter], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Newest first."""
    rows = seen_by(caller(request))
    if which.verb:
        rows = rows.filter(verb=which.verb)
    if which.is_open is not None:
        over = {"finished_at": None, "called_off_at": None}
        rows = rows.filter(**over) if which.is_open else rows.exclude(**over)
    found = page(rows, limit, cursor)
    return {"items": [shown(order) for order in found["items"]], "next": found["next"]}


@router.get("/{uuid:order_id}", auth=needs("jobs:read"), response=OrderOut)
def get_order(request: HttpRequest, order_id: UUID) -> Any:
    """How far it is."""
    return shown(_found(caller(request), order_id))


@router.post("/{uuid:order_id}/call-off", auth=needs(None), response=OrderOut)
def call_off_order(request: HttpRequest, order_id: UUID) -> Any:
    """Go no further. What is done is done. 409: it was over before. Needs the scope of its verb."""
    who = caller(request)
    order = _found(who, order_id)
    who.need(SCOPE_OF[bulk_orders.PERMISSIONS[Order.Verb(order.verb)]])
    if not bulk_orders.call_off(order, by=who.name):
        raise Problem(409, "The order was over before.")
    return shown(_found(who, order_id))


def parameters_of(call: OrderCall) -> dict[str, Any]:
    """As the order keeps them. Raises Problem 422 for what its verb does not take."""
    own: dict[str, tuple[str, ...]] = {
        "retry": ("per_minute",),
        "postpone": ("run_at", "delay", "delay_ms"),
        "reprioritise": ("priority", "priority_scale"),
    }
    for name in sorted({name for names in own.values() for name in names} - set(own.get(call.verb, ()))):
        if getattr(call, name) is not None:
            raise invalid(name, f"means nothing to {call.verb}; leave it out")
    if call.verb == "postpone":
        return _postponed(call)
    if call.verb == "reprioritise":
        level = level_of(call.priority, call.priority_scale)
        if level is None:
            raise invalid("priority", "say which")
        return {"priority": int(level)}
    return {"per_minute": call.per_minute} if call.per_minute else {}


def _postponed(call: OrderCall) -> dict[str, Any]:
    now = bulk.database_now()
    until = moment_of(call, now)
    if call.run_at is not None:
        return {"run_at": until.isoformat()}
    return {"seconds": (until - now).total_seconds()}


def seen_by(who: Caller) -> Any:
    """Who sees some of the jobs only does not see what others did with all of them."""
    rows = Order.objects.all()
    return rows if who.sees_all else rows.filter(by=who.name)


def shown(order: Order) -> dict[str, Any]:
    hidden = {"search": "•••"} if "search" in order.filters else {}
    plain = ("id", "verb", "parameters", "reason", "by", "asked_at", "total", "done", "counts", "job_id")
    told = {name: getattr(order, name) for name in (*plain, "finished_at", "called_off_at", "called_off_by")}
    which = {name: value for name, value in order.filters.items() if name != "plainly"}
    return told | {"which": which | hidden}


def _preview(seen: Preview) -> dict[str, Any]:
    return {"at": seen.at, "total": seen.total, "counts": seen.counts, "reach": list(seen.reach)}


def _found(who: Caller, pk: UUID) -> Order:
    order: Order | None = seen_by(who).filter(pk=pk).first()
    if order is None:
        raise not_found("order")
    return order
