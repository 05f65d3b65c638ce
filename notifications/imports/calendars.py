"""Reading bookings from an iCalendar file (.ics), an event at a time.

Called by `imports`. The promise: an event is either one booking, or refused with its line and the reason; nothing is
guessed from it, and no occurrence of a repeating event goes in silently. Only the properties that a booking needs are
kept, so that attachments of any size cost no memory.

Zones are taken by their name. The definitions in VTIMEZONE are not read: the zone database of this machine knows what
a ministry decided after the file was written.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

from icalendar.parser import Contentline, Parameters
from icalendar.prop import vDDDTypes, vDuration
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from notifications.imports import cells as cell
from notifications.imports.files import LONGEST_LINE, Source, UnusableFile, decoded
from notifications.imports.rows import BadRow, BookingRow, Person, Reader, check_end
from notifications.models import Booking

REPEATS = ("RRULE", "RDATE", "RECURRENCE-ID")
ONCE = ("UID", "DTSTART", "DTEND", "DURATION", "SUMMARY", "LOCATION", "STATUS", "SEQUENCE", *REPEATS)
WANTED = frozenset({*ONCE, "ATTENDEE", "ORGANIZER"})
LONGEST_EVENT = 8 * LONGEST_LINE  # bytes of its wanted properties
NAME = re.compile(rb"[A-Za-z0-9-]+")

Property = tuple[Parameters, str]
Line = tuple[int, bytes]  # number and content, unfolded


class Calendar:
    """What the head of the file says about all of its events."""

    def __init__(self, zone: str | None) -> None:
        self.zone = zone
        self.method = ""

    def read(self, line: bytes) -> None:
        name, _, value = line.decode(errors="replace").partition(":")
        name = name.partition(";")[0].upper()
        if name == "X-WR-TIMEZONE":
            try:
                self.zone = _zone(value.strip())
            except ValueError as exc:
                raise UnusableFile(f"X-WR-TIMEZONE: {exc}") from None
        elif name == "METHOD":
            self.method = value.strip().upper()


class Event:
    """The wanted properties of one VEVENT, by name."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.properties: dict[str, list[Property]] = {}
        self.error = ""
        self._bytes = 0

    def add(self, line: Line) -> None:
        self._bytes += len(line[1])
        if self._bytes > LONGEST_EVENT:
            self.properties, self.error = {}, f"the event is longer than {LONGEST_EVENT:,} bytes"
        if self.error:
            return
        try:
            text = decoded(*line)
        except ValueError as exc:
            self.error = str(exc)
            return
        try:
            name, parameters, value = Contentline(text).parts()  # type: ignore[no-untyped-call]
        except ValueError:
            self.error = f"line {line[0]} is not a property: {cell.shown(text)}"
        else:
            self.properties.setdefault(name.upper(), []).append((parameters, value))

    def value(self, name: str) -> str:
        return self.properties[name][0][1].strip() if name in self.properties else ""


def read_calendar(source: Source, zone: str | None = None) -> Iterator[BookingRow | BadRow]:
    """The events of the file. `zone` is that of floating times, where the file has no X-WR-TIMEZONE.

    Raises UnusableFile if the file is not a calendar.
    """
    source.columns = ("UID", "SUMMARY", "DTSTART")
    if not source.starts_with(b"BEGIN:VCALENDAR"):
        why = "is empty" if not source.size else "is not an iCalendar file: it does not begin with BEGIN:VCALENDAR"
        raise UnusableFile(f"{source.path} {why}.")
    calendar, depth = Calendar(zone), 0  # how many other components are open: alarms, definitions of zones
    event: Event | None = None
    for number, line in _unfolded(source):
        name, _, value = line.strip().upper().partition(b":")
        if name == b"BEGIN" and value == b"VEVENT":
            if event is not None:
                yield _broken(event, "the event has no END:VEVENT")
            event, depth = Event(number), 0
        elif name == b"BEGIN" and value == b"VCALENDAR":
            calendar, depth = Calendar(zone), 0
        elif name == b"BEGIN":
            depth += 1
        elif name == b"END" and value == b"VEVENT" and event is not None:
            yield _row(event, calendar)
            event, depth = None, 0
        elif name == b"END":
            depth = max(0, depth - 1)
        elif not depth and event is not None:
            event.add((number, line))
        elif not depth:
            calendar.read(line)
    if event is not None:
        yield _broken(event, "the file ends within this event; it was cut off")


def _unfolded(source: Source) -> Iterator[Line]:
    """Logical lines: those that begin with a blank continue the one before. Unwanted properties are left out.

    Joined as bytes, because some programs fold in the middle of a letter.
    """
    current: Line | None = None
    for number, raw in source.lines():
        content = raw.rstrip(b"\r\n")
        if content[:1] in (b" ", b"\t"):
            if current is not None and len(current[1]) <= LONGEST_LINE:
                current = (current[0], current[1] + content[1:])
            continue
        if current is not None:
            yield current
        name = NAME.match(content)
        wanted = name is None or name[0].decode().upper() in WANTED | {"BEGIN", "END", "METHOD", "X-WR-TIMEZONE"}
        current = (number, content) if content.strip() and wanted else None
    if current is not None:
        yield current


def _broken(event: Event, reason: str) -> BadRow:
    return BadRow.because(event.line, "", reason, _cells(event))


def _cells(event: Event) -> dict[str, str]:
    return {name: event.value(name) for name in ("UID", "SUMMARY", "DTSTART")}


def _row(event: Event, calendar: Calendar) -> BookingRow | BadRow:
    if event.error:
        return _broken(event, event.error)
    reader = Reader(event.line, {name: event.value(name) for name in ONCE})
    _refuse_what_repeats(event, reader)
    uid = reader.need("UID", cell.line_of_text(100))
    service = reader.need("SUMMARY", cell.line_of_text(200))
    location = reader.read("LOCATION", cell.line_of_text(300)) or ""
    status = reader.read("STATUS", cell.one_of(("confirmed", "tentative", "cancelled")))
    over = "cancelled" in (status, calendar.method.casefold().replace("cancel", "cancelled"))
    person = _person(event, reader)
    starts_at, zone = _moment(event, reader, "DTSTART", calendar.zone)
    ends_at = _end(event, reader, starts_at, calendar.zone)
    if reader.errors or starts_at is None or ends_at is None or person is None:
        return replace(reader.bad(), cells=_cells(event))
    return BookingRow(
        event.line,
        uid,
        person,
        service,
        location,
        starts_at,
        ends_at,
        zone,
        Booking.Status.CANCELLED if over else Booking.Status.BOOKED,
        sequence=reader.read("SEQUENCE", _number),
        cells=_cells(event),
    )


def _refuse_what_repeats(event: Event, reader: Reader) -> None:
    for name in REPEATS:
        if name in event.properties:
            reader.wrong(name, "repeating events are not imported; export each occurrence as an event of its own")
    for name in set(ONCE) & {name for name, values in event.properties.items() if len(values) > 1}:
        reader.wrong(name, "is there twice")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


# --- Who -----------------------------------------------------------------------------------------------


def _person(event: Event, reader: Reader) -> Person | None:
    """The one person who is invited. Rooms, and the organizer in the list of guests, do not count."""
    host = {_address(value) for _, value in event.properties.get("ORGANIZER", [])}
    people = [
        (parameters, value)
        for parameters, value in event.properties.get("ATTENDEE", [])
        if str(parameters.get("CUTYPE", "INDIVIDUAL")).upper() == "INDIVIDUAL" and _address(value) not in host
    ]
    if len(people) != 1:
        reader.wrong("ATTENDEE", f"{len(people)} people are invited; a booking has one customer")
        return None
    parameters, value = people[0]
    try:
        email = cell.email(_address(value))
        name = cell.line_of_text(200)(str(parameters.get("CN", "")).strip())
    except ValueError as exc:
        reader.wrong("ATTENDEE", str(exc))
        return None
    return Person(external_id=None, name=name, email=email)


def _address(value: str) -> str:
    scheme, _, address = value.strip().partition(":")
    return unquote(address) if scheme.lower() == "mailto" else value.strip()


# --- When ----------------------------------------------------------------------------------------------


def _end(event: Event, reader: Reader, starts_at: datetime | None, zone: str | None) -> datetime | None:
    ends_at: datetime | None = None
    if "DTEND" in event.properties:
        ends_at, _ = _moment(event, reader, "DTEND", zone)
    elif "DURATION" in event.properties:
        duration = reader.read("DURATION", _duration)
        ends_at = starts_at + duration if starts_at and duration else None
    elif starts_at:
        reader.wrong("DTEND", "is missing, and so is DURATION: one of them has to say when the event ends")
    if starts_at and ends_at:
        check_end(reader, "DTEND", starts_at, ends_at)
    return ends_at


def _duration(text: str) -> timedelta:
    try:
        duration = vDuration.from_ical(text)  # type: ignore[no-untyped-call]
    except (ValueError, OverflowError):
        raise ValueError(f"{cell.shown(text)} is not a duration. Write PT45M.") from None
    return cell.lasting(duration)


def _moment(event: Event, reader: Reader, name: str, zone: str | None) -> tuple[datetime | None, str | None]:
    """A moment, and the zone that the property names."""
    text = reader.text(name)
    if not text:
        reader.wrong(name, "is missing")
        return None, zone
    named = str(event.properties[name][0][0].get("TZID", ""))
    try:
        value = _value(text)
        if value.tzinfo is not None:
            return cell.moment(value.isoformat(), None).astimezone(UTC), zone
        zone = _zone(named) if named else zone
        if zone is None:
            raise ValueError(f"{text} is a floating time. Pass --time-zone, or add X-WR-TIMEZONE to the file.")
        return cell.from_wall(value, zone), zone
    except ValueError as exc:
        reader.wrong(name, str(exc))
        return None, zone


def _value(text: str) -> datetime:
    try:
        value = vDDDTypes.from_ical(text)  # type: ignore[no-untyped-call]
    except (ValueError, OverflowError):
        raise ValueError(f"{cell.shown(text)} is not a time. Write 20270328T143000.") from None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        raise ValueError("an all-day event has no time to remind before. Give it a time of day.")
    raise ValueError(f"{cell.shown(text)} is not a date and time.")


def _zone(name: str) -> str:
    """The IANA zone of a TZID: its name, Windows' name for it, or the end of a vendor's path."""
    name = WINDOWS_TO_OLSON.get(name, name)
    parts = name.strip("/").split("/")
    for start in range(len(parts)):
        candidate = "/".join(parts[start:])
        if "/" in candidate or start == 0:
            try:
                return cell.zone(candidate)
            except ValueError:
                continue
    return cell.zone(name)
