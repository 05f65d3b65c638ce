"""Exports: rows of a registered source as CSV, JSON, JSON Lines or XLSX, in a file that whoever asked may fetch.

`ask` writes down what is wanted, by whom, and whether he may see who customers are; `export` is the durable task. The
promise: a row that was there when the export began and still is when it ends is in the file once, as it was when its
chunk was read; rows made meanwhile are not, and no row is twice. A job that was killed goes on where it was: the
bytes are those of one that was not.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import shared_task
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field

from jobs import ledger
from jobs.durable import AWAY, Durable, Permanent, Stop
from jobs.files import Export, StoredFile
from jobs.ids import new_id
from jobs.library import parts, sources, storage, workbooks, writing
from jobs.library.parts import Part
from jobs.library.people import Person
from jobs.library.sources import Column, Source
from jobs.library.storage import Whose
from jobs.payload import storable
from jobs.scopes import Scope

CHUNK = 5_000  # rows read, and certainly written, at a time
HOURS = 2  # that an export may take
TASK = "jobs.export"


class Wanted(BaseModel):
    """What to export: columns and filters by the names of the source; no columns are all of them."""

    model_config = ConfigDict(extra="forbid")

    source: str
    format: Export.Format = Export.Format.CSV
    columns: list[str] = Field(default_factory=list)
    filters: dict[str, Any] = Field(default_factory=dict)


def ask(wanted: Wanted, person: Person) -> Export:
    """Write it down and enqueue its job, in the caller's transaction. Raises as `prepared`."""
    export = prepared(wanted, person, new_id())
    with transaction.atomic():
        export.save(force_insert=True)
        write_export.apply_async((export.pk,), task_id=export.pk, tenant=person.tenant)
    return export


def prepared(wanted: Wanted, person: Person, pk: UUID) -> Export:
    """The row, not yet inserted. The rights are those of this moment.

    Raises ValueError for a source, column, filter or value that there is not, PermissionDenied for whoever may not.
    """
    source = sources.named(wanted.source)
    if not person.may(source.permission):
        raise PermissionDenied(f"Exporting {source.name} needs the permission {source.permission}.")
    if not source.limits(person.scope):
        raise PermissionDenied(f"{source.name} cannot be limited to what is within your scope.")
    source.conditions(wanted.filters)
    wanted_columns = source.chosen(wanted.columns)
    return Export(
        pk=pk,
        source=source.name,
        format=wanted.format,
        columns=[column.name for column in wanted_columns],
        filters=storable(wanted.model_dump(mode="json")["filters"], "filters"),
        by=person.name[:150],
        user_id=person.user_id,
        scope=person.scope.limits,
        revealed=bool(source.reveals) and person.may(source.reveals),
    )


def open_to(person: Person) -> list[Source]:
    """What this person may export."""
    return [one for one in sources.known() if person.may(one.permission) and one.limits(person.scope)]


def insist(export: Export, may: Callable[[str], bool]) -> None:
    """Raises PermissionDenied for who asked for it and has lost since what it needs; whose it is, the caller looks."""
    source = sources.named(export.source)
    if not may(source.permission):
        told = _("It needs %(permission)s, which whoever asked for it has not any more.")
        raise PermissionDenied(told % {"permission": source.permission})
    if export.revealed and not may(source.reveals):
        told = _("It tells who customers are, which needs %(permission)s.")
        raise PermissionDenied(told % {"permission": source.reveals})


@dataclass(frozen=True)
class Place:
    """How far an export is: the checkpoint of its job. `attempt` wrote the first `size` bytes."""

    upto: Any  # the last key that there was in the beginning
    total: int
    last: Any = None
    rows: int = 0
    attempt: int | None = None
    size: int = 0


@shared_task(
    base=Durable,
    bind=True,
    name=TASK,
    internal=True,
    autoretry_for=(OSError, *AWAY),
    max_retries=5,
    retry_backoff=5,
    time_limit=HOURS * 3600,
    soft_time_limit=HOURS * 3600 - 60,
)
def write_export(self: Durable, export_id: UUID) -> dict[str, Any]:
    """Returns the file's id, its size and the number of rows."""
    export = Export.objects.filter(pk=export_id).first()
    if export is None:
        raise Permanent(f"There is no export {export_id}: ask for one with exports.ask().")
    if export.file is None:
        try:
            _Writer(self, export).write()
        except (Stop, Permanent):
            parts.forget(export.pk)
            raise
        parts.forget(export.pk)
        export.refresh_from_db()
    if export.file is None:
        raise Permanent("Its file was deleted.")
    return {"file": str(export.file.pk), "size": export.file.size, "rows": export.rows}


class _Writer:
    def __init__(self, task: Durable, export: Export) -> None:
        self.running, self.export = task.running, export
        self.job = task.running.job
        try:
            self.source: Source = sources.named(export.source)
            self.columns: Sequence[Column] = self.source.chosen(export.columns)
            self.matching: QuerySet[Any] = self.source.within(Scope.told(export.scope), export.filters)
        except ValueError as exc:  # it was written down by other code
            raise Permanent(str(exc)) from exc

    def write(self) -> None:
        place, part = self._begun()
        try:
            for chunk in self._chunks(place):
                place = self._add(part, place, chunk)
            part.write(writing.tail(self.export.format))
            part.settle()
        finally:
            part.close()
        if self.export.format == Export.Format.XLSX:
            with parts.beside(self.export.pk, self.job.token, "xlsx") as book:
                self._bind(part.path, book, place)
                self._store(book, place)
        else:
            self._store(part.path, place)

    def _begun(self) -> tuple[Place, Part]:
        """Where to go on, or the beginning with its heading."""
        place = Place(**self.running.saved) if self.running.saved else self._all()
        part = parts.resumed(self.export.pk, self.job.token, place.attempt, place.size)
        if not part.size:
            place = Place(place.upto, place.total)
            part.write(writing.head(self.export.format, [column.name for column in self.columns]))
        return place, part

    def _all(self) -> Place:
        newest = self.matching.order_by("-pk").values_list("pk", flat=True).first()
        upto = None if newest is None else newest if isinstance(newest, int) else str(newest)
        total = 0 if newest is None else self.matching.filter(pk__lte=newest).count()
        return Place(upto, total)

    def _chunks(self, place: Place) -> Iterable[list[Any]]:
        """By key and not by offset: what is deleted meanwhile moves nothing past us."""
        if place.upto is None:
            return
        rows = self.matching.filter(pk__lte=place.upto).order_by("pk")
        paths = [column.path or column.name for column in self.columns]
        last = place.last
        while True:
            after = rows if last is None else rows.filter(pk__gt=last)
            chunk = list(after.values_list("pk", *paths)[:CHUNK])
            if not chunk:
                return
            last = chunk[-1][0]
            yield chunk

    def _add(self, part: Part, place: Place, chunk: list[Any]) -> Place:
        self.running.check_cancelled()
        names = [column.name for column in self.columns]
        values = (
            [
                column.plain(value, revealed=self.export.revealed)
                for column, value in zip(self.columns, row[1:], strict=True)
            ]
            for row in chunk
        )
        part.write(writing.rows(self.export.format, names, values, first=not place.rows))
        last = chunk[-1][0]
        place = Place(
            upto=place.upto,
            total=place.total,
            last=last if isinstance(last, int) else str(last),
            rows=place.rows + len(chunk),
            attempt=self.job.token,
            size=part.settle(),
        )
        self.running.checkpoint(vars(place))
        self.running.progress(place.rows, max(place.total, place.rows) + 1, "reading")  # the file is the last one
        return place

    def _bind(self, lines: Path, book: Path, place: Place) -> None:
        def look_around(number: int) -> None:
            self.running.check_cancelled()
            self.running.progress(number, place.rows + 1, "making the sheet")

        workbooks.write(lines, book, self.columns, self.export.asked_at, look_around)

    def _store(self, path: Path, place: Place) -> None:
        export, source = self.export, self.source
        secret = export.revealed and any(column.mask for column in self.columns)
        whose = Whose(export.user_id, self.job.tenant, secret, source.reveals if secret else "", export.pk)
        name = f"{export.source}-{export.asked_at:%Y-%m-%d}.{export.format}"
        file = storage.keep(path, name, writing.TYPES[export.format], whose)
        if not self._told(file, place):
            storage.remove([file])
            raise Stop("the job was cancelled, or given to another worker")
        self.running.progress(place.rows, place.rows)

    def _told(self, file: StoredFile, place: Place) -> bool:
        """One file for an export, by the attempt that still holds its job."""
        mine: Callable[..., int] = Export.objects.filter(ledger.holds(self.job), pk=self.export.pk, file=None).update
        return bool(mine(file=file, rows=place.rows, finished_at=Now()))
