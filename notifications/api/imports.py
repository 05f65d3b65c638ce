"""/bookings:import: up to 1,000 rows at once, each taken or refused for itself, as from a file.

The promise: the same rows again change nothing, and a refused row names every field that has to be corrected.
"""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from jobs.api.callers import caller, needs
from notifications import imports
from notifications.api.fields import DryRun, In, Tenant, Zone
from notifications.imports.files import unique
from notifications.imports.outcomes import Outcome
from notifications.imports.rows import booking_row

router = Router(tags=["bookings"])

MOST = 1_000
Cell = Annotated[str | None, Field(max_length=1_000)]
Became = Literal["created", "moved", "changed", "cancelled", "reopened", "unchanged", "left", "bad"]


class RowIn(In):
    """As a row of a CSV file: texts, read by the same code. Null or empty: nothing is said."""

    external_id: Cell = Field(None, examples=["b-17"])
    customer_id: Cell = Field(None, description="in your own system")
    customer_name: Cell = None
    customer_email: Cell = None
    customer_phone: Cell = None
    customer_locale: Cell = None
    customer_time_zone: Cell = None
    service: Cell = None
    location: Cell = None
    starts_at: Cell = Field(None, examples=["2027-03-28T14:30", "2027-03-28T14:30:00+02:00"])
    ends_at: Cell = None
    duration_minutes: Cell = Field(None, examples=["45"])
    time_zone: Cell = None
    status: Cell = Field(None, description="booked, cancelled, completed or no_show", examples=["booked"])


class RowsIn(In):
    rows: Annotated[list[RowIn], Field(min_length=1, max_length=MOST)]
    tenant: Tenant = None
    time_zone: Zone | None = Field(None, description="of times that name none")
    reopen: bool = Field(False, strict=True, description="bring back what is cancelled here")


class Trying(In):
    dry_run: DryRun = False


class FieldError(Schema):
    field: str = Field(description="empty: the whole row")
    message: str


class RowOut(Schema):
    row: int = Field(description="1 is the first")
    external_id: str
    outcome: Became = Field(description="left: it is cancelled or over here, and the row does not say to reopen it")
    what: str = Field(examples=["from Haircut, 2027-03-28 14:30 Europe/Berlin to ..."])
    errors: list[FieldError]


class Number(Schema):
    kind: str
    reason: str
    number: int


class ImportedOut(Schema):
    dry_run: bool
    counts: dict[str, int] = Field(description="rows by outcome", examples=[{"created": 998, "bad": 2}])
    customers: dict[str, int] = Field(description="made and changed", examples=[{"created": 900}])
    reminders: list[Number] = Field(description="what became of reminders")
    rows: list[RowOut] = Field(description="each row, in order")


@router.post("/bookings:import", auth=needs("bookings:write"), response=ImportedOut)
def import_bookings(request: HttpRequest, body: RowsIn, trying: Query[Trying]) -> Any:
    """Made, moved and cancelled by external_id. Needs customers:write and customers:reveal too.

    Customers are found by their id or address, and the outcome tells what there was.
    """
    who = caller(request)
    for scope in ("customers:write", "customers:reveal"):
        who.need(scope)
    for model in ("booking", "customer"):
        who.permit(f"notifications.add_{model}")
    tenant = who.tenant_for(body.tenant)
    said = [{name: value for name, value in row.model_dump().items() if value is not None} for row in body.rows]
    rows = unique(booking_row(number, cells, body.time_zone) for number, cells in enumerate(said, 1))
    chunks = imports.import_bookings(rows, dry_run=trying.dry_run, reopen=body.reopen, tenant=tenant)
    whole = Outcome()
    lines: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        whole.add(chunk)
        lines |= _lines(chunk)
    unchanged = {"outcome": "unchanged", "what": "", "errors": []}
    reminders = [{"kind": kind, "reason": why, "number": n} for (kind, why), n in whole.deliveries.most_common()]
    return {
        "dry_run": trying.dry_run,
        "counts": dict(whole.rows),
        "customers": dict(whole.customers),
        "reminders": reminders,
        "rows": [
            {"row": number, "external_id": cells.get("external_id", "").strip()} | lines.get(number, unchanged)
            for number, cells in enumerate(said, 1)
        ],
    }


def _lines(chunk: Outcome) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {
        one.line: {"outcome": one.kind, "what": one.what, "errors": []} for one in chunk.changes
    }
    for bad in chunk.bad:
        errors = [{"field": error.field, "message": error.reason} for error in bad.errors]
        found[bad.line] = {"outcome": "bad", "what": "", "errors": errors}
    return found
