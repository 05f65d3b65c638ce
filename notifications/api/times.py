"""When a booking is, as a body says it: a moment with its offset, or what the clocks of a place show.

Used by the routers of bookings. The promise: a time without a zone is never guessed, and a time that the clocks leave
out or show twice is not moved silently.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from jobs.api.problems import invalid
from notifications import bookings, timing
from notifications.api.fields import In, Seconds, Zone
from notifications.imports import cells

Said = Annotated[str, Field(max_length=40, examples=["2027-03-28T14:30", "2027-03-28T14:30:00+02:00"])]


class When(In):
    """A start, and either an end or a duration."""

    starts_at: Said = Field(description="with an offset: that moment; without: what the clocks of time_zone show")
    ends_at: Said | None = Field(None, description="as starts_at")
    duration: Seconds | None = Field(None, description="seconds, instead of ends_at", examples=[3600])
    time_zone: Zone | None = Field(None, description="the venue's")
    fold: Literal[0, 1] = Field(0, description="1: the second of a time that the clocks show twice")


def read(when: When, known: str | None = None) -> dict[str, Any]:
    """starts_at, ends_at and time_zone (None: nobody has said it). `known` is the zone that there is already."""
    zone = when.time_zone or known
    starts_at = _moment("starts_at", when.starts_at, zone, when.fold)
    if (when.ends_at is None) == (when.duration is None):
        raise invalid("ends_at", "give either ends_at or duration (seconds)")
    if when.ends_at is not None:
        ends_at = _moment("ends_at", when.ends_at, zone, when.fold)
    else:
        ends_at = starts_at + timedelta(seconds=when.duration or 0)
    try:
        bookings.schedule(starts_at, ends_at, zone or "UTC")
        cells.lasting(ends_at - starts_at)
    except ValueError as exc:
        raise invalid("ends_at" if ends_at <= starts_at else "starts_at", str(exc)) from exc
    return {"starts_at": starts_at, "ends_at": ends_at, "time_zone": zone}


def _moment(field: str, text: str, zone: str | None, fold: int) -> datetime:
    try:
        value = datetime.fromisoformat(text)
        if value.tzinfo is None and zone is None:
            raise ValueError("names no time zone; add an offset (+02:00), or time_zone")
        moment = cells.moment(text, zone)
        if value.tzinfo is None and fold:
            return timing.instant(value.date(), value.time(), str(zone), fold).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise invalid(field, _plain(exc, text)) from exc
    return moment


def _plain(exc: Exception, text: str) -> str:
    if "isoformat" in str(exc).lower():
        return f"{cells.shown(text)} is not a time. Write 2027-03-28T14:30 or 2027-03-28T14:30+02:00."
    return str(exc)
