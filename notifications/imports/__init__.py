"""Importing bookings and payments from files: made, moved and cancelled by their external ids.

Called by the commands `import_bookings` and `import_payments`, and by application code. The promise: a chunk of rows
and the plan of its reminders are one transaction with a number of statements that does not depend on the rows; the
same file again changes nothing.

    with Source("bookings.csv") as source:
        for outcome in import_bookings(read_bookings(source)): ...
"""

from collections.abc import Callable, Iterable, Iterator

from django.db import IntegrityError, transaction

from notifications.imports import upserts
from notifications.imports.calendars import read_calendar
from notifications.imports.files import Source, read_csv, unique
from notifications.imports.outcomes import Outcome
from notifications.imports.rows import (
    BOOKING_COLUMNS,
    PAYMENT_COLUMNS,
    AnyRow,
    BadRow,
    BookingRow,
    PaymentRow,
    booking_row,
    payment_row,
)

CHUNK = 500  # rows per transaction
ATTEMPTS = 3  # at a chunk, when others insert the same ids at the same moment
# --- Reading -------------------------------------------------------------------------------------------


def read_bookings(source: Source, *, zone: str | None = None) -> Iterator[BookingRow | BadRow]:
    """The rows of a CSV or iCalendar file. `zone` is that of times which name none. Raises UnusableFile."""
    if source.starts_with(b"BEGIN:VCALENDAR") or source.path.suffix.lower() == ".ics":
        return unique(read_calendar(source, zone))
    rows = read_csv(source, BOOKING_COLUMNS)
    return unique(row if isinstance(row, BadRow) else booking_row(*row, zone) for row in rows)


def read_payments(source: Source, *, zone: str | None = None) -> Iterator[PaymentRow | BadRow]:
    """The rows of a CSV file. `zone` is that of due dates whose row names none. Raises UnusableFile."""
    rows = read_csv(source, PAYMENT_COLUMNS)
    return unique(row if isinstance(row, BadRow) else payment_row(*row, zone) for row in rows)


# --- Writing -------------------------------------------------------------------------------------------


def import_bookings(
    rows: Iterable[BookingRow | BadRow], *, dry_run: bool = False, reopen: bool = False, tenant: str = ""
) -> Iterator[Outcome]:
    """Import and plan a chunk at a time; yields what became of each.

    A dry run undoes each chunk. `reopen` lets the file bring back what is cancelled here. All rows are of the
    `tenant`: external ids and addresses are looked for among its own.
    """

    def write(chunk: list[BookingRow], outcome: Outcome) -> None:
        upserts.Bookings(outcome, reopen=reopen, tenant=tenant).write(chunk)

    return _in_chunks(rows, write, dry_run)


def import_payments(
    rows: Iterable[PaymentRow | BadRow], *, dry_run: bool = False, reopen: bool = False, tenant: str = ""
) -> Iterator[Outcome]:
    """As `import_bookings`. What is recorded as paid here is never lowered by a file."""

    def write(chunk: list[PaymentRow], outcome: Outcome) -> None:
        upserts.Payments(outcome, reopen=reopen, tenant=tenant).write(chunk)

    return _in_chunks(rows, write, dry_run)


def _in_chunks(
    rows: Iterable[AnyRow | BadRow], write: Callable[[list[AnyRow], Outcome], None], dry_run: bool
) -> Iterator[Outcome]:
    chunk: list[AnyRow | BadRow] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield _write(chunk, write, dry_run)
            chunk = []
    if chunk:
        yield _write(chunk, write, dry_run)


def _write(chunk: list[AnyRow | BadRow], write: Callable[[list[AnyRow], Outcome], None], dry_run: bool) -> Outcome:
    for attempt in range(ATTEMPTS):
        outcome = Outcome()
        for row in chunk:
            if isinstance(row, BadRow):
                outcome.refuse(row)
        try:
            with transaction.atomic():
                write([row for row in chunk if not isinstance(row, BadRow)], outcome)
                transaction.set_rollback(dry_run)
        except IntegrityError:
            # Somebody inserted one of these ids after we had looked for it. Now it can be seen.
            if attempt == ATTEMPTS - 1:
                raise
        else:
            break
    outcome.bad.sort(key=lambda row: row.line)
    return outcome
