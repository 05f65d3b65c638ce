"""`manage.py import_bookings FILE`: bookings from CSV or iCalendar, made, moved and cancelled by external id."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from notifications.imports import import_bookings, read_bookings
from notifications.imports.files import Source, UnusableFile
from notifications.imports.outcomes import Outcome
from notifications.imports.rows import BOOKING_COLUMNS, BadRow, BookingRow, shifted
from notifications.management.importing import ImportCommand
from notifications.models import Booking, ReminderRule

CANCELLED = Booking.Status.CANCELLED


class Command(ImportCommand[BookingRow]):
    help = "Import bookings from a CSV or iCalendar file and plan their reminders. The same file again changes nothing."
    columns = BOOKING_COLUMNS

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--first-reminder-in",
            type=float,
            metavar="SECONDS",
            help="shift all bookings of the file by the same time, so that the reminder closest to the start of the "
            "earliest one (by the default rules: 15 minutes before) falls due in so many seconds: for demonstrations",
        )

    def read(self, source: Source, *, zone: str | None) -> Iterator[BookingRow | BadRow]:
        return read_bookings(source, zone=zone)

    def write(
        self, rows: Iterator[BookingRow | BadRow], *, dry_run: bool, reopen: bool, tenant: str
    ) -> Iterator[Outcome]:
        return import_bookings(rows, dry_run=dry_run, reopen=reopen, tenant=tenant)

    def shifted(self, rows: Iterator[BookingRow | BadRow], by: timedelta) -> Iterator[BookingRow | BadRow]:
        return shifted(rows, by)

    def shift(self, rows: Callable[[], Iterator[BookingRow | BadRow]], options: dict[str, Any]) -> timedelta | None:
        if options["first_reminder_in"] is None:
            return None
        starts = (row.starts_at for row in rows() if isinstance(row, BookingRow) and row.status != CANCELLED)
        earliest = min(starts, default=None)
        if earliest is None:
            raise UnusableFile("The file has no booking that could be shifted.")
        return _due_at(timezone.now(), options["first_reminder_in"]) - (earliest + _closest_reminder())


def _due_at(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise UnusableFile(f"--first-reminder-in {seconds} is not a usable number of seconds.") from None


def _closest_reminder() -> timedelta:
    """The offset of the last reminder before a start."""
    rules = ReminderRule.objects.filter(
        anchor=ReminderRule.Anchor.BOOKING_START, active=True, offset__lt=timedelta(), at_time=None
    )
    closest = rules.order_by("-offset").values_list("offset", flat=True).first()
    if closest is None:
        raise UnusableFile("--first-reminder-in needs an active rule that reminds before a booking starts.")
    return closest
