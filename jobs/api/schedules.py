"""/schedules: what recurs: by a cron text, crontab fields or an interval; for durable tasks that the caller may call.

Rows are django-celery-beat's; beat runs them (`jobs.schedules`), an occurrence is one job. Their jobs have no tenant,
so they are for callers who have all of a queue.
"""

import json
from datetime import timedelta
from typing import Annotated, Any, Literal

from celery import current_app
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks
from ninja import Query, Router, Status
from pydantic import Field, StrictBool

from jobs import aliases, ledger, registry, rows
from jobs.api import recurrence
from jobs.api.asked import Arguments, Asked, Moment, Name
from jobs.api.callers import Caller, caller, needs
from jobs.api.calls import SCALES, Level, Scale, filled, level_of, named, queue_of
from jobs.api.jobs import ROOT as JOBS
from jobs.api.paging import Cursor, Limit, Page, page
from jobs.api.problems import Problem, invalid, not_found
from jobs.api.recurrence import Crontab, Explained, Recurrence, Runs, ScheduleOut, crontab_of
from jobs.api.shapes import JobOut, shown as shown_job
from jobs.models import SchedulePolicy

router = Router(tags=["schedules"])
ROOT = "/api/v1/schedules"
Count = Annotated[int, Field(ge=1, le=100)]


class ScheduleCall(Recurrence):
    """What shall run again and again."""

    crontab: Crontab | None = Field(None, description="in place of cron")
    name: str = Field(min_length=1, max_length=200, description="of its own", examples=["nightly report"])
    task: str = Field(min_length=1, max_length=200)
    data: Arguments = Field({}, description="its arguments by name")
    args: list[Any] = Field([], description="its arguments by place")
    queue: Name | None = Field(None, description="null: the task's own")
    priority: Level | None = None
    priority_scale: Scale | None = Field(None, description=SCALES)
    expires: int | None = Field(
        None, strict=True, ge=1, le=31_536_000, description="seconds after which a run is of no use"
    )
    missed: Literal["skip", "once", "all"] = Field(
        "once", description="what becomes of runs at which nobody was there: none, one for all of them, or each"
    )
    window: int | None = Field(
        None, strict=True, ge=0, le=31_536_000, description="seconds; runs missed longer ago are skipped"
    )
    starts_at: Moment | None = None
    enabled: StrictBool = True
    description: str = Field("", max_length=2_000)


class ScheduleFilter(Asked):
    task: str = Field("", max_length=200)
    enabled: bool | None = None


@router.get("", auth=needs("schedules:read"), response=Page[ScheduleOut])
def list_schedules(request: HttpRequest, which: Query[ScheduleFilter], limit: Limit = 50, cursor: Cursor = "") -> Any:
    """Of the tasks and queues that are the caller's; the newest first."""
    who = caller(request)
    wanted = within(who)
    if which.task:
        wanted = wanted.filter(task=aliases.meant(which.task))
    if which.enabled is not None:
        wanted = wanted.filter(enabled=which.enabled)
    found, now = page(wanted, limit, cursor), timezone.now()
    reveal = who.may("jobs:reveal")
    return {"items": [recurrence.shown(row, now, reveal=reveal) for row in found["items"]], "next": found["next"]}


@router.get("/explain", auth=needs("schedules:read"), response=Explained)
def explain_schedule(request: HttpRequest, what: Query[Recurrence], count: Count = 5) -> Any:
    """What a cron text or an interval means, and when it would run. Changes nothing."""
    row = PeriodicTask(name="", task="")
    explained = _place(row, what, save=False)
    return {"explained": explained} | recurrence.runs(row, timezone.now(), count)


@router.post("", auth=needs("schedules:write"), response={201: ScheduleOut})
def create_schedule(request: HttpRequest, response: HttpResponse, call: ScheduleCall) -> Any:
    """Needs jobs:enqueue too. Nothing of the past is run. 409: there is one of that name."""
    who = caller(request)
    who.need("jobs:enqueue")
    who.permit("django_celery_beat.add_periodictask")
    kind = named(call.task, who)
    queue = queue_of(kind, call.queue)
    if not who.scope.owns(queue):
        raise Problem(403, f"queue: jobs of a schedule have no tenant, and {queue!r} is not all this key's.")
    level = level_of(call.priority, call.priority_scale)
    job = filled(kind, call.args, call.data, {"queue": queue})
    row = PeriodicTask(
        name=call.name, task=kind.name, queue=call.queue, enabled=call.enabled, start_time=call.starts_at
    )
    row.args, row.kwargs = json.dumps(job.args), json.dumps(job.kwargs)
    row.priority, row.expire_seconds, row.description = level, call.expires, call.description
    _place(row, call, save=True)
    if recurrence.never(row, timezone.now()):
        raise invalid("cron", "never comes")
    _save(row)
    window = None if call.window is None else timedelta(seconds=call.window)
    SchedulePolicy.objects.create(schedule=row, missed=call.missed, window=window)
    response["Location"] = f"{ROOT}/{row.pk}"
    return Status(201, recurrence.shown(_found(who, row.pk), timezone.now(), reveal=who.may("jobs:reveal")))


@router.get("/{int:schedule_id}", auth=needs("schedules:read"), response=ScheduleOut)
def get_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """With its next run."""
    who = caller(request)
    return recurrence.shown(_found(who, schedule_id), timezone.now(), reveal=who.may("jobs:reveal"))


@router.get("/{int:schedule_id}/runs", auth=needs("schedules:read"), response=Runs)
def list_schedule_runs(request: HttpRequest, schedule_id: int, count: Count = 5) -> Any:
    """Its next runs, and the times of the next twelve months that a change of the clocks leaves out or shows twice."""
    row = _found(caller(request), schedule_id)
    return recurrence.runs(row, timezone.now(), count)


@router.post("/{int:schedule_id}/pause", auth=needs("schedules:write"), response=ScheduleOut)
def pause_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """It makes no jobs until it is resumed; those that it made run on."""
    return _switched(request, schedule_id, on=False)


@router.post("/{int:schedule_id}/resume", auth=needs("schedules:write"), response=ScheduleOut)
def resume_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """From now on. What it would have run while it was paused is not made up for."""
    return _switched(request, schedule_id, on=True)


@router.post("/{int:schedule_id}/run", auth=needs("schedules:write"), response={201: JobOut})
def run_schedule(request: HttpRequest, response: HttpResponse, schedule_id: int) -> Any:
    """A job as it makes them, now, beside its own runs. Needs jobs:enqueue too."""
    who = caller(request)
    who.need("jobs:enqueue")
    row = _found(who, schedule_id)
    options = {"queue": row.queue, "priority": row.priority, "expires": row.expire_seconds}
    kind = registry.named(row.task)
    job = ledger.enqueue(filled(kind, json.loads(row.args or "[]"), json.loads(row.kwargs or "{}"), options))
    response["Location"] = f"{JOBS}/{job.pk}"
    return Status(201, shown_job(job))


@router.delete("/{int:schedule_id}", auth=needs("schedules:write"), response={204: None})
def delete_schedule(request: HttpRequest, schedule_id: int) -> Any:
    """The jobs that it made stay."""
    who = caller(request)
    who.permit("django_celery_beat.delete_periodictask")
    _found(who, schedule_id).delete()
    return Status(204, None)


def within(who: Caller) -> Any:
    """The schedules of tasks that the caller may call, whose queue is all theirs."""
    kinds = [registry.named(name) for name in registry.names() if who.may_call(name)]
    lanes = {str(kind.name): rows.lane(kind) for kind in kinds if not kind.internal}
    owned = {name for name in current_app.amqp.queues if who.scope.owns(name)}
    unnamed = Q(queue=None, task__in=[task for task, lane in lanes.items() if lane in owned])
    related = ("crontab", "interval", "clocked", "solar", "policy")
    wanted = PeriodicTask.objects.filter(unnamed | Q(queue__in=owned), task__in=list(lanes))
    return wanted.select_related(*related)


def _found(who: Caller, pk: int) -> Any:
    row = within(who).filter(pk=pk).first() if pk < 2**31 else None
    if row is None:
        raise not_found("schedule")
    return row


def _switched(request: HttpRequest, pk: int, *, on: bool) -> Any:
    """As beat's own save does it: from the moment of the change, it has not run yet."""
    who = caller(request)
    _found(who, pk)
    changed = PeriodicTask.objects.filter(pk=pk, enabled=not on)
    if changed.update(enabled=on, last_run_at=None, date_changed=Now()):
        PeriodicTasks.update_changed()
    return recurrence.shown(_found(who, pk), timezone.now(), reveal=who.may("jobs:reveal"))


def _place(row: Any, call: Recurrence, *, save: bool) -> str:
    """Give it its crontab or interval. Returns what that means, for people."""
    if call.every is not None:
        if call.cron is not None or getattr(call, "crontab", None) is not None:
            raise invalid("every", "cron says when already; say one of them")
        row.interval = IntervalSchedule(every=call.every, period=IntervalSchedule.SECONDS)
        if save:
            row.interval = IntervalSchedule.objects.filter(every=call.every, period="seconds").first() or row.interval
            row.interval.save()
        return recurrence.every_text(call.every, row.start_time)
    row.crontab, explained = crontab_of(call)
    if save and row.crontab.pk is None:
        row.crontab.save()
    return explained


def _save(row: Any) -> None:
    taken = Problem(409, f"name: there is a schedule {row.name!r} already.")
    if PeriodicTask.objects.filter(name=row.name).exists():
        raise taken
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as exc:  # another was faster
        raise taken from exc
    except ValidationError as exc:
        raise invalid("name", "; ".join(exc.messages)) from exc
