"""/exports: rows of a registered source as a file. Asked for here, written by a job, fetched by whoever asked.

The promise: what a file holds was allowed to its caller when it was asked for, and is given to that caller only.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from jobs.api.asked import Asked, Name
from jobs.api.callers import caller, needs
from jobs.api.description import CONTENT, RETRY_AFTER
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid, not_found
from jobs.files import Export
from jobs.library import exports, storage
from jobs.models import Job

router = Router(tags=["exports"])

Format = Literal["csv", "json", "jsonl", "xlsx"]
TYPES: dict[str, dict[str, Any]] = {
    "text/csv": {},
    "application/json": {},
    "application/x-ndjson": {},
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {},
}


class ExportIn(Asked):
    source: Name = Field(examples=["bookings"], description="GET /exports/sources lists them")
    format: Format = "csv"
    columns: list[Name] = Field(default=[], max_length=100, description="none: all of the source")
    filters: dict[str, Any] = Field(
        default={}, description="by the names of the source", examples=[{"status": "booked"}]
    )


class ExportOut(Schema):
    id: UUID = Field(description="also of its job")
    source: str
    format: Format
    columns: list[str]
    state: str = Field(description="of its job: scheduled, queued, running, succeeded, failed ...")
    reason: str
    rows: int | None = Field(description="null: it is not written yet")
    size: int | None = Field(description="bytes")
    revealed: bool = Field(description="whether it tells who customers are")
    asked_at: datetime
    finished_at: datetime | None


class SourceOut(Schema):
    name: str
    columns: list[str]
    filters: list[str]


@router.get("/sources", auth=needs("exports:make"), response=list[SourceOut])
def list_export_sources(request: HttpRequest) -> Any:
    """What this caller may export."""
    mine = exports.open_to(caller(request).person())
    return [{"name": one.name, "columns": list(one.by_name), "filters": sorted(one.filters)} for one in mine]


@router.post("", auth=needs("exports:make"), response={202: ExportOut})
def make_export(request: HttpRequest, response: HttpResponse, body: ExportIn) -> Any:
    """Accepted: a job writes it. Customers are masked without `customers:reveal`, as of this moment."""
    who = caller(request)
    try:
        export = exports.ask(exports.Wanted.model_validate(body.model_dump()), who.person())
    except ValueError as exc:
        raise invalid("filters" if "filter" in str(exc) else "source", str(exc)) from exc
    response["Location"] = f"{request.path}/{export.pk}"
    return Status(202, _told([export])[0])


@router.get("", auth=needs("exports:make"), response=Page[ExportOut])
def list_exports(request: HttpRequest, limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Those that this caller asked for, newest first."""
    found = page(_mine(request), limit, cursor)
    return found | {"items": _told(found["items"])}


@router.get("/{export_id}", auth=needs("exports:make"), response=ExportOut)
def get_export(request: HttpRequest, export_id: UUID) -> Any:
    """How far it is."""
    return _told([_one(request, export_id)])[0]


@router.get(
    "/{export_id}/content",
    auth=needs("exports:make"),
    openapi_extra={
        "responses": {
            200: {"description": "the file", "content": TYPES},
            409: {"description": "it is not written yet", "content": CONTENT, "headers": RETRY_AFTER},
            410: {"description": "it has been cleaned up", "content": CONTENT},
        }
    },
)
def get_export_content(request: HttpRequest, export_id: UUID) -> Any:
    """The file. 409 while it is not written, 410 when it has been cleaned up."""
    export = _one(request, export_id)
    if export.finished_at is None:
        raise Problem(409, "It is not written yet; ask for its state first.", headers={"Retry-After": "5"})
    exports.insist(export, caller(request).has)
    try:
        content = storage.read(export.file) if export.file else None
    except storage.Missing:
        content = None
    if content is None or export.file is None:
        raise Problem(410, "It has been cleaned up. Ask for another.")
    answer = FileResponse(content, as_attachment=True, filename=export.file.name)
    answer["Content-Type"] = export.file.content_type
    answer["Cache-Control"] = "no-store"
    return answer


def _mine(request: HttpRequest) -> Any:
    return Export.objects.filter(by=caller(request).name).select_related("file")


def _one(request: HttpRequest, pk: UUID) -> Export:
    export: Export | None = _mine(request).filter(pk=pk).first()
    if export is None:
        raise not_found("export")
    return export


def _told(found: list[Export]) -> list[dict[str, Any]]:
    jobs = {job.pk: job for job in Job.objects.filter(pk__in=[one.pk for one in found]).only("state", "reason")}
    return [
        {
            **{name: getattr(one, name) for name in ("id", "source", "format", "columns", "revealed", "rows")},
            **{name: getattr(one, name) for name in ("asked_at", "finished_at")},
            "state": jobs[one.pk].state if one.pk in jobs else "succeeded",
            "reason": jobs[one.pk].reason if one.pk in jobs else "",
            "size": one.file.size if one.file else None,
        }
        for one in found
    ]
