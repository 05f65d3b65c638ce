"""When a schedule runs: what one may say of it, what that means, and its next runs.

Used by `schedules`. The runs are the ones that beat will make, by the same arithmetic (`forecast`).
"""

import json
import zoneinfo
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django_celery_beat.models import CrontabSchedule
from ninja import Schema
from pydantic import Field

from jobs import crons, forecast
from jobs.api.asked import Asked
from jobs.api.problems import invalid
from jobs.occurrences import EPOCH


class Crontab(Asked):
    """Celery's fields; a day must fit both of its fields."""

    minute: str = Field("*", max_length=240)
    hour: str = Field("*", max_length=96)
    day_of_month: str = Field("*", max_length=124)
    month_of_year: str = Field("*", max_length=64)
    day_of_week: str = Field("*", max_length=64, description="Sunday is 0")


class Recurrence(Asked):
    """When it runs: one of cron and every."""

    cron: str | None = Field(None, max_length=300, description="five fields", examples=["30 9 * * 1-5"])
    every: int | None = Field(None, ge=1, le=31_536_000, description="seconds, counted from its start")
    zone: str = Field(
        "", max_length=64, description="whose clocks a cron text means; empty: the site's", examples=["Europe/Berlin"]
    )


def every_text(seconds: int, start: datetime | None) -> str:
    return f"Every {seconds} seconds, counted from {(start or EPOCH).astimezone(UTC).isoformat()}"


class ClockChange(Schema):
    """A time at which it is to run, and which the clocks leave out or show twice."""

    time: datetime = Field(description="as the clocks of its zone show it; without a zone, since there is none or two")
    twice: bool
    note: str = Field(description="what it does then")


class Runs(Schema):
    runs: list[datetime] = Field(description="in its zone")
    zone: str
    clock_changes: list[ClockChange] = Field(description="of the next twelve months, ten at most")


class Explained(Runs):
    explained: str = Field(examples=["At 09:30 on Monday through Friday"])


class ScheduleOut(Schema):
    """What recurs."""

    id: int
    name: str
    task: str
    enabled: bool
    cron: str | None = Field(description="minute, hour, day, month, day of the week; null: not by a crontab")
    every: float | None = Field(description="seconds; null: not by an interval")
    zone: str
    next_run: datetime | None = Field(description="null: it is paused, over, or cannot be told")
    queue: str | None = Field(description="null: the task's own")
    priority: int | None
    expires: int | None = Field(description="seconds after which a run is of no use")
    missed: str = Field(description="skip, once or all")
    window: float | None = Field(description="seconds; runs missed longer ago are skipped")
    starts_at: datetime | None
    last_run_at: datetime | None
    runs_so_far: int
    description: str
    revealed: bool = Field(description="whether the following are told: with the scope jobs:reveal")
    args: list[Any] | None
    data: dict[str, Any] | None


def crontab_of(call: Recurrence) -> tuple[Any, str]:
    """The row, saved or not, and what it means. Raises Problem 422."""
    given: Crontab | None = getattr(call, "crontab", None)
    if (call.cron is None) == (given is None):
        raise invalid("cron", "say when it runs, once: as cron, crontab or every (seconds)")
    text = call.cron if given is None else " ".join(getattr(given, name) or "?" for name in crons.FIELDS)
    try:
        fields = crons.read(text or "")
    except ValueError as exc:
        raise invalid("cron" if given is None else "crontab", str(exc)) from exc
    said = {name: getattr(fields, name) for name in crons.FIELDS}
    row = CrontabSchedule(
        minute=said["minute"],
        hour=said["hour"],
        day_of_month=said["day_of_month"],
        month_of_year=said["month_of_year"],
        day_of_week=said["day_of_week"],
        timezone=_zone(call.zone or settings.TIME_ZONE),
    )
    try:
        row.full_clean(exclude=["timezone"])  # read by us; its choices are compared by identity
    except ValidationError as exc:
        raise invalid("cron", "; ".join(exc.messages)) from exc
    same = CrontabSchedule.objects.filter(timezone=row.timezone)
    for name in crons.FIELDS:
        same = same.filter(**{name: said[name]})  # names of ours
    return same.first() or row, fields.explained


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise invalid("zone", f"there is no zone {name!r}. Write one such as Europe/Berlin") from exc


def never(row: Any, now: datetime) -> bool:
    return not forecast.next_runs(row, now, 1)


def runs(row: Any, now: datetime, count: int) -> dict[str, Any]:
    """The next ones, whether it is switched on or not."""
    zone = forecast.zone_of(row)
    twice = "comes twice; it runs at the first"
    never_ = "does not exist; it runs later, by as much as the clocks go forward"
    changes = [
        {"time": wall, "twice": change.twice, "note": twice if change.twice else never_}
        for wall, change in forecast.spoilt(row, now)
    ]
    found = [one.astimezone(zone) for one in _next(row, now, count)]
    return {"runs": found, "zone": zone.key, "clock_changes": changes}


def shown(row: Any, now: datetime, *, reveal: bool) -> dict[str, Any]:
    policy = getattr(row, "policy", None)
    following = _next(row, now, 1) if row.enabled else []
    names = ("id", "name", "task", "enabled", "queue", "priority", "last_run_at", "description")
    return {name: getattr(row, name) for name in names} | {
        "cron": " ".join(getattr(row.crontab, name) for name in crons.FIELDS) if row.crontab else None,
        "every": row.interval.schedule.run_every.total_seconds() if row.interval else None,
        "zone": forecast.zone_of(row).key,
        "next_run": following[0] if following else None,
        "expires": row.expire_seconds,
        "missed": policy.missed if policy else "once",
        "window": policy.window.total_seconds() if policy and policy.window is not None else None,
        "starts_at": row.start_time,
        "runs_so_far": row.total_run_count,
        "revealed": reveal,
        "args": json.loads(row.args or "[]") if reveal else None,
        "data": json.loads(row.kwargs or "{}") if reveal else None,
    }


def _next(row: Any, now: datetime, count: int) -> list[datetime]:
    try:
        return forecast.next_runs(row, now, count)
    except ValueError:  # the sun has no fixed moments
        return []
