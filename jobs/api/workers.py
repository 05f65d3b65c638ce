"""/workers: who works, for which queues, with how many processes, since when."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from jobs import bulk, crews
from jobs.api.callers import caller, needs
from jobs.models import QueueWorker

router = Router(tags=["queues"])


class WorkerOut(Schema):
    """A worker, as it last told: each speaks every four seconds."""

    name: str = Field(examples=["worker@host"])
    queues: list[str]
    processes: int
    scalable: bool = Field(description="it can start and end processes while it runs")
    here: bool = Field(description="false: it went away without a word, and is not counted")
    seen_at: datetime
    seen_seconds: float = Field(description="since it last spoke")
    started_at: datetime | None
    memory: int | None = Field(description="bytes that all its processes hold; null: its system does not tell")


class Workers(Schema):
    items: list[WorkerOut]
    processes: int = Field(description="of all workers that are here")


@router.get("", auth=needs("queues:read"), response=Workers)
def list_workers(request: HttpRequest) -> Any:
    """Of the caller's queues."""
    now, found = bulk.database_now(), dict[str, dict[str, Any]]()
    rows = caller(request).scope.rows(QueueWorker.objects.all(), tenant=None)
    for row in rows.annotate(here=crews.HERE).order_by("worker", "queue"):
        shown = found.setdefault(row.worker, {"queues": [], "name": row.worker})
        shown["queues"].append(row.queue)
        names = ("processes", "scalable", "here", "seen_at", "started_at", "memory")
        shown |= {name: getattr(row, name) for name in names}
        shown["seen_seconds"] = (now - row.seen_at).total_seconds()
    items = list(found.values())
    return {"items": items, "processes": sum(one["processes"] for one in items if one["here"])}
