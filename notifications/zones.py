"""The zone database: when a new edition of it says that clocks will show something else, bookings move with them.

Run before each reconcile. What was agreed is the time on the wall: `starts_at` is computed again from it, and only
the bookings whose moment has changed are planned anew. The promise: it goes on where it was interrupted, and a
machine with an older edition does not undo it.
"""

import logging
import zoneinfo
from datetime import datetime, timedelta
from hashlib import sha256
from importlib import resources
from pathlib import Path

import tzdata  # type: ignore[import-untyped]
from django.db import transaction
from django.utils import timezone

from notifications import timing
from notifications.changes import CHUNK
from notifications.models import Booking, ZoneDatabase
from notifications.reminders import plan

log = logging.getLogger(__name__)
OVER = timedelta(days=2)  # a booking that began longer ago is over, whatever the clocks say


def refresh(now: datetime | None = None) -> int:
    """Bring the moments of upcoming bookings in line with this machine's zone database. Returns how many moved."""
    ours, stored = edition(), ZoneDatabase.objects.order_by("pk").first()
    if stored and stored.version == ours:
        return 0
    if stored and _year_and_letter(stored.version) > _year_and_letter(ours):
        log.warning("this machine's zone database %s is older than %s, which is in use", ours, stored.version)
        return 0
    moved = 0
    now = now or timezone.now()
    upcoming = Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=now - OVER).order_by("pk")
    last = 0
    while chunk := list(upcoming.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1].pk
        if some := [booking.pk for booking in chunk if _shift(booking)]:
            moved += _move(some, now)
    ZoneDatabase.objects.update_or_create(pk=stored.pk if stored else 1, defaults={"version": ours, "applied_at": now})
    log.info("zone database %s: %d bookings are at another moment", ours, moved)
    return moved


def edition() -> str:
    """The zone database that this process uses: its version, and a digest of what it says."""
    digest = sha256()
    for name in sorted(zoneinfo.available_timezones()):
        digest.update(name.encode())
        digest.update(_file(name))
    return f"{_version()} {digest.hexdigest()[:12]}"


def _move(ids: list[int], now: datetime) -> int:
    """In one transaction with their plan, on the rows as they are once they are locked."""
    with transaction.atomic():
        rows = Booking.objects.filter(pk__in=ids, status=Booking.Status.BOOKED).select_related("customer")
        bookings = list(rows.select_for_update(of=("self",), no_key=True).order_by("pk"))
        changed = []
        for booking in bookings:
            if by := _shift(booking):
                booking.starts_at, booking.ends_at = booking.starts_at + by, booking.ends_at + by
                booking.sequence += 1  # calendars have the moment
                changed.append(booking)
        Booking.objects.bulk_update(changed, ["starts_at", "ends_at", "sequence"])
        plan(changed, now=now)
    return len(changed)


def _shift(booking: Booking) -> timedelta:
    """By how much the moment of a booking is another one now."""
    try:
        moment = timing.instant(booking.wall_date, booking.wall_time, booking.time_zone, booking.fold)
    except ValueError:
        log.warning("booking %s: the zone %s is gone from the zone database", booking.pk, booking.time_zone)
        return timedelta()
    return moment - booking.starts_at


def _year_and_letter(version: str) -> str:
    return version.split(" ")[0]


def _version() -> str:
    """As IANA counts them, 2026a before 2026b."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "tzdata.zi").is_file():
            with (folder / "tzdata.zi").open() as file:
                return file.readline().removeprefix("# version ").strip()
        if (folder / "+VERSION").is_file():
            return (folder / "+VERSION").read_text().strip()
        if (folder / "UTC").is_file():
            return "unknown"
    return str(tzdata.IANA_VERSION)


def _file(name: str) -> bytes:
    """Found as `zoneinfo` finds it: the system's first."""
    for folder in zoneinfo.TZPATH:
        if (path := Path(folder, name)).is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
