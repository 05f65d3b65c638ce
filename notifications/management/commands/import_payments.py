"""`manage.py import_payments FILE`: payments from CSV, made, postponed, settled and called off by external id."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone

from notifications.imports import import_payments, read_payments
from notifications.imports.files import Source, UnusableFile
from notifications.imports.outcomes import Outcome
from notifications.imports.rows import PAYMENT_COLUMNS, BadRow, PaymentRow, shifted
from notifications.management.importing import ImportCommand
from notifications.models import Payment

OPEN = Payment.Status.OPEN


class Command(ImportCommand[PaymentRow]):
    help = (
        "Import payments from a CSV file and plan their reminders. Amounts are in major units (12.50). "
        "The same file again changes nothing."
    )
    columns = PAYMENT_COLUMNS

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--first-due-in",
            type=int,
            metavar="DAYS",
            help="shift all due dates of the file by the same number of days, so that the earliest open payment is due "
            "in so many days from today (0: today; negative: overdue): for demonstrations",
        )

    def read(self, source: Source, *, zone: str | None) -> Iterator[PaymentRow | BadRow]:
        return read_payments(source, zone=zone)

    def write(
        self, rows: Iterator[PaymentRow | BadRow], *, dry_run: bool, reopen: bool, tenant: str
    ) -> Iterator[Outcome]:
        return import_payments(rows, dry_run=dry_run, reopen=reopen, tenant=tenant)

    def shifted(self, rows: Iterator[PaymentRow | BadRow], by: timedelta) -> Iterator[PaymentRow | BadRow]:
        return shifted(rows, by)

    def shift(self, rows: Callable[[], Iterator[PaymentRow | BadRow]], options: dict[str, Any]) -> timedelta | None:
        days = options["first_due_in"]
        if days is None:
            return None
        due = (row.due_on for row in rows() if isinstance(row, PaymentRow) and row.status in (None, OPEN))
        earliest = min(due, default=None)
        if earliest is None:
            raise UnusableFile("The file has no open payment that could be shifted.")
        if abs(days) > 3650:
            raise UnusableFile(f"--first-due-in {days} is further away than ten years.")
        return timezone.localdate() + timedelta(days=days) - earliest
