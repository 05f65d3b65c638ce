"""A row of a file: its cells become a booking or a payment, or the list of what is wrong with it.

Called by the readers (`files` for CSV, `calendars` for iCalendar). Touches neither database nor clock. The promise: a
row is taken whole or not at all, and a refused one names every cell that has to be corrected.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TypeVar, cast

from notifications.imports import cells as cell
from notifications.models import Booking, Payment

T = TypeVar("T")
Cells = Mapping[str, str]

CUSTOMER_COLUMNS = (
    "customer_id",
    "customer_name",
    "customer_email",
    "customer_phone",
    "customer_locale",
    "customer_time_zone",
)


@dataclass(frozen=True)
class Columns:
    """The columns of one kind of file. Of each group in `either`, one is enough."""

    known: tuple[str, ...]
    required: tuple[str, ...]
    either: tuple[tuple[str, ...], ...]


BOOKING_COLUMNS = Columns(
    known=(
        "external_id",
        *CUSTOMER_COLUMNS,
        "service",
        "location",
        "starts_at",
        "ends_at",
        "duration_minutes",
        "time_zone",
        "status",
    ),
    required=("external_id", "customer_name", "service", "starts_at"),
    either=(("customer_email", "customer_id"), ("ends_at", "duration_minutes")),
)
PAYMENT_COLUMNS = Columns(
    known=(
        "external_id",
        *CUSTOMER_COLUMNS,
        "subject",
        "amount",
        "currency",
        "due_on",
        "time_zone",
        "booking_external_id",
        "status",
        "paid",
    ),
    required=("external_id", "customer_name", "subject", "amount", "currency", "due_on"),
    either=(("customer_email", "customer_id"),),
)


@dataclass(frozen=True)
class RowError:
    """What is wrong with one cell. `field` is empty where the whole line is meant."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.reason}" if self.field else f"line {self.line}: {self.reason}"


@dataclass(frozen=True)
class BadRow:
    """A row that does not go in, with everything that is wrong with it."""

    line: int
    errors: tuple[RowError, ...]
    cells: Cells = field(default_factory=dict, repr=False)

    @classmethod
    def because(cls, line: int, name: str, reason: str, cells: Cells | None = None) -> "BadRow":
        return cls(line, (RowError(line, name, reason),), cells or {})


@dataclass(frozen=True)
class Person:
    """The customer as a row describes them. None or empty: the row says nothing about it."""

    external_id: str | None
    name: str
    email: str
    phone: str | None = None
    locale: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True)
class BookingRow:
    """A booking as a file describes it. None: the file says nothing about it, what is stored stays."""

    line: int
    external_id: str
    customer: Person
    service: str
    location: str | None
    starts_at: datetime
    ends_at: datetime
    time_zone: str | None
    status: str | None
    sequence: int | None = None  # of a calendar: how often its owner says to have changed the event
    cells: Cells = field(default_factory=dict, repr=False, compare=False)

    def later(self, by: timedelta) -> "BookingRow":
        return replace(self, starts_at=self.starts_at + by, ends_at=self.ends_at + by)


@dataclass(frozen=True)
class PaymentRow:
    """A payment as a file describes it, amounts in minor units. None: the file says nothing about it."""

    line: int
    external_id: str
    customer: Person
    subject: str
    amount: int
    currency: str
    due_on: date
    time_zone: str | None
    booking_external_id: str | None
    status: str | None
    paid: int | None
    cells: Cells = field(default_factory=dict, repr=False, compare=False)

    def later(self, by: timedelta) -> "PaymentRow":
        return replace(self, due_on=self.due_on + by)


AnyRow = TypeVar("AnyRow", BookingRow, PaymentRow)


class Reader:
    """Reads the cells of one row, and collects what is wrong with them."""

    def __init__(self, line: int, cells: Cells) -> None:
        self.line = line
        self.cells = cells
        self.errors: list[RowError] = []

    def text(self, name: str) -> str:
        return self.cells.get(name, "").strip()

    def wrong(self, name: str, reason: str) -> None:
        self.errors.append(RowError(self.line, name, reason))

    def is_wrong(self, name: str) -> bool:
        return any(error.field == name for error in self.errors)

    def read(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The value of a cell that may be empty, or of a column that may be missing."""
        text = self.text(name)
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as exc:
            self.wrong(name, str(exc))
            return None

    def need(self, name: str, parse: Callable[[str], T]) -> T:
        """The value of a cell that has to be filled. A row with errors is never used, so None does not get far."""
        if not self.text(name):
            self.wrong(name, "is empty; every row needs it")
        return cast(T, self.read(name, parse))

    def person(self) -> Person:
        person = Person(
            external_id=self.read("customer_id", cell.line_of_text(100)),
            name=self.need("customer_name", cell.line_of_text(200)),
            email=self.read("customer_email", cell.email) or "",
            phone=self.read("customer_phone", cell.phone),
            locale=self.read("customer_locale", cell.locale),
            time_zone=self.read("customer_time_zone", cell.zone),
        )
        if not self.text("customer_email") and not self.text("customer_id"):
            self.wrong("customer_email", "is empty, and so is customer_id: one of them has to say who the customer is")
        return person

    def bad(self) -> BadRow:
        return BadRow(self.line, tuple(self.errors), self.cells)


def booking_row(line: int, cells: Cells, zone: str | None = None) -> BookingRow | BadRow:
    """`zone` is that of times which name none, where the row has no time_zone of its own."""
    reader = Reader(line, cells)
    external_id = reader.need("external_id", cell.line_of_text(100))
    person = reader.person()
    service = reader.need("service", cell.line_of_text(200))
    location = (reader.read("location", cell.line_of_text(300)) or "") if "location" in cells else None
    status = reader.read("status", cell.one_of(Booking.Status.values))
    zone = reader.read("time_zone", cell.zone) or zone
    starts_at, ends_at = _times(reader, zone)
    if reader.errors:
        return reader.bad()
    return BookingRow(line, external_id, person, service, location, starts_at, ends_at, zone, status, cells=cells)


def _times(reader: Reader, zone: str | None) -> tuple[datetime, datetime]:
    if reader.is_wrong("time_zone"):  # one mistake, one message
        return cast(datetime, None), cast(datetime, None)
    starts_at = reader.need("starts_at", lambda text: cell.moment(text, zone))
    ends_at = reader.read("ends_at", lambda text: cell.moment(text, zone))
    duration = reader.read("duration_minutes", cell.minutes)
    if not reader.text("ends_at") and not reader.text("duration_minutes"):
        reader.wrong("ends_at", "is empty, and so is duration_minutes: one of them has to say when it ends")
    if starts_at and duration and ends_at and ends_at != starts_at + duration:
        reader.wrong("duration_minutes", "and ends_at contradict each other; leave one of them empty")
    if starts_at and duration:
        ends_at = ends_at or starts_at + duration
    if starts_at and ends_at:
        check_end(reader, "ends_at", starts_at, ends_at)
    return starts_at, cast(datetime, ends_at)


def check_end(reader: Reader, name: str, starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        reader.wrong(name, f"it ends ({ends_at.isoformat()}) before it starts ({starts_at.isoformat()})")
    elif ends_at - starts_at > cell.LONGEST_BOOKING:
        reader.wrong(name, f"it lasts longer than {cell.LONGEST_BOOKING.days} days")


def payment_row(line: int, cells: Cells, zone: str | None = None) -> PaymentRow | BadRow:
    """`zone` is that of due dates, where the row has no time_zone of its own."""
    reader = Reader(line, cells)
    currency = reader.need("currency", cell.currency)
    amount, paid = 0, None
    if not reader.is_wrong("currency"):
        amount = reader.need("amount", lambda text: cell.money(text, currency))
        paid = reader.read("paid", lambda text: cell.money(text, currency, or_nothing=True))
    row = PaymentRow(
        line=line,
        external_id=reader.need("external_id", cell.line_of_text(100)),
        customer=reader.person(),
        subject=reader.need("subject", cell.line_of_text(200)),
        amount=amount,
        currency=currency,
        due_on=reader.need("due_on", cell.day),
        time_zone=reader.read("time_zone", cell.zone) or zone,
        booking_external_id=reader.read("booking_external_id", cell.line_of_text(100)),
        status=reader.read("status", cell.one_of(Payment.Status.values)),
        paid=paid,
        cells=cells,
    )
    return reader.bad() if reader.errors else row


def shifted(rows: Iterable[AnyRow | BadRow], by: timedelta) -> Iterator[AnyRow | BadRow]:
    """The same rows, all later by the same time: a file of the past or the far future becomes one of today."""
    for row in rows:
        yield row if isinstance(row, BadRow) else _shifted(row, by)


def _shifted(row: AnyRow, by: timedelta) -> AnyRow | BadRow:
    """A file may span more years than there are after its first row's new one."""
    name = "starts_at" if isinstance(row, BookingRow) else "due_on"
    try:
        later = row.later(by)
        cell.check_year(getattr(later, name))
    except (ValueError, OverflowError) as exc:
        return BadRow.because(row.line, name, f"shifted by {by.days:,} days: {exc}", row.cells)
    return later
