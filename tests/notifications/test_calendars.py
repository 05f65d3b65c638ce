"""An event of an iCalendar file is one booking, or is refused with the reason."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from notifications.imports import import_bookings, read_bookings
from notifications.imports.files import LONGEST_LINE, Source, UnusableFile
from notifications.imports.rows import BadRow, BookingRow
from notifications.models import Booking, Customer
from tests.factories import alice
from tests.notifications.importing import a_file, whole

EVENT = {
    "UID": "1@example.com",
    "DTSTART;TZID=Europe/Berlin": "20300506T100000",
    "DTEND;TZID=Europe/Berlin": "20300506T104500",
    "SUMMARY": "Haarschnitt",
    "LOCATION": r"Schönhauser Allee 12\, Berlin",
    "ATTENDEE;CN=Jürgen Müller": "mailto:juergen@example.com",
}


def event(*more: str, without: str = "", **changes: str) -> str:
    """An event like EVENT, without the properties that begin with a word, with changed and additional ones."""
    kept = {name: value for name, value in EVENT.items() if not without or not name.startswith(without)}
    lines = [f"{name}:{value}" for name, value in (kept | changes).items()]
    return "\r\n".join(["BEGIN:VEVENT", *lines, *more, "END:VEVENT"])


def calendar(*events: str, head: str = "VERSION:2.0") -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", head, *events, "END:VCALENDAR", ""])


def ics(content: str | bytes) -> Path:
    return a_file(content, "bookings.ics")


def read(content: str | bytes, zone: str | None = None) -> list[BookingRow | BadRow]:
    with Source(ics(content)) as source:
        return list(read_bookings(source, zone=zone))


def booking(content: str, zone: str | None = None) -> BookingRow:
    (row,) = read(content, zone)
    assert isinstance(row, BookingRow), row
    return row


def complaint(content: str | bytes) -> str:
    (row,) = read(content)
    assert isinstance(row, BadRow), row
    return "; ".join(str(error) for error in row.errors)


def times(row: BookingRow) -> tuple[str, str, str | None]:
    return f"{row.starts_at:%d %H:%M}", f"{row.ends_at:%d %H:%M}", row.time_zone


@pytest.mark.django_db
def test_an_event_becomes_a_booking_and_the_same_file_again_changes_nothing() -> None:
    for kind in ("created", "unchanged"):
        with Source(ics(calendar(event()))) as source:
            assert whole(import_bookings(read_bookings(source))).rows == {kind: 1}
    found = Booking.objects.select_related("customer").get(external_id="1@example.com")
    assert (found.service, found.location) == ("Haarschnitt", "Schönhauser Allee 12, Berlin")
    assert (found.customer.name, found.customer.email) == ("Jürgen Müller", "juergen@example.com")


@pytest.mark.django_db
def test_a_guest_without_a_name_keeps_the_one_that_is_stored() -> None:
    stored = alice()
    for address in (stored.email, "unknown@example.com"):
        uid = {"UID": address}
        with Source(ics(calendar(event(f"ATTENDEE:mailto:{address}", without="ATTENDEE", **uid)))) as source:
            whole(import_bookings(read_bookings(source)))
    assert list(Customer.objects.order_by("pk").values_list("name", flat=True)) == [stored.name, "unknown@example.com"]


@pytest.mark.parametrize(
    "name",
    ["Europe/Berlin", "W. Europe Standard Time", "/mozilla.org/20050126_1/Europe/Berlin", '"Europe/Berlin"'],
)
def test_zones_are_known_by_any_of_their_names(name: str) -> None:
    row = booking(calendar(event(f"DTSTART;TZID={name}:20300506T100000", without="DTSTART")))
    assert times(row) == ("06 08:00", "06 08:45", "Europe/Berlin")


def test_a_time_in_utc_takes_its_zone_from_the_calendar() -> None:
    start = {"DTSTART": "20300506T080000Z"}
    row = booking(calendar(event(without="DTSTART", **start), head="X-WR-TIMEZONE:Asia/Kathmandu"))
    assert times(row) == ("06 08:00", "06 08:45", "Asia/Kathmandu")


def test_a_floating_time_takes_its_zone_from_the_calendar_or_the_command() -> None:
    floating = event("DTSTART:20300506T100000", "DURATION:PT1H30M", without="DT")
    assert times(booking(calendar(floating), "Europe/London")) == ("06 09:00", "06 10:30", "Europe/London")
    in_berlin = calendar(floating, head="X-WR-TIMEZONE:Europe/Berlin")
    assert times(booking(in_berlin, "Europe/London")) == ("06 08:00", "06 09:30", "Europe/Berlin")


def test_a_floating_time_without_any_zone_is_refused() -> None:
    told = complaint(calendar(event("DTSTART:20300506T100000", without="DTSTART")))
    assert "DTSTART: 20300506T100000 is a floating time. Pass --time-zone, or add X-WR-TIMEZONE" in told


def test_a_cancelled_event_cancels() -> None:
    assert booking(calendar(event("STATUS:CANCELLED", "SEQUENCE:3"))).status == "cancelled"
    assert booking(calendar(event("SEQUENCE:3"), head="METHOD:CANCEL")).status == "cancelled"
    row = booking(calendar(event("STATUS:TENTATIVE", "SEQUENCE:3")))
    assert (row.status, row.sequence) == ("booked", 3)


@pytest.mark.parametrize(
    ("property_", "without", "expected"),
    [
        ("RRULE:FREQ=WEEKLY", "", "line 3: RRULE: repeating events are not imported"),
        ("RDATE:20300507T100000", "", "RDATE: repeating events"),
        ("RECURRENCE-ID:20300507T100000", "", "RECURRENCE-ID: repeating events"),
        ("DTSTART;VALUE=DATE:20300506", "DTSTART", "DTSTART: an all-day event has no time to remind before"),
        ("DTSTART;TZID=Europe/Berlin:20270328T023000", "DTSTART", "does not exist in Europe/Berlin"),
        ("DTSTART;TZID=Mars/Olympus:20270328T023000", "DTSTART", "'Mars/Olympus' is not a time zone"),
        ("DTSTART:20300506", "DTSTART", "an all-day event"),
        ("DTSTART:tomorrow", "DTSTART", "'tomorrow' is not a time. Write 20270328T143000"),
        ("DTSTART:99991231T235959Z", "DTSTART", "the year 9999"),
        ("DTSTART;TZID=Europe/Berlin:20300506T120000", "DTSTART", "DTEND: it ends"),
        ("DTSTART:20300506T080000Z/PT1H", "DTSTART", "is not a date and time"),
        ("X-NOTHING:1", "DTSTART", "DTSTART: is missing"),
        ("X-NOTHING:1", "DTEND", "DTEND: is missing, and so is DURATION"),
        ("DURATION:-PT1H", "DTEND", "DURATION: a booking lasts more than nothing"),
        ("DURATION:long", "DTEND", "'long' is not a duration. Write PT45M"),
        ("X-NOTHING:1", "UID", "UID: is empty"),
        ("UID:" + "x" * 101, "UID", "UID: is 101 characters long"),
        ("SUMMARY:", "SUMMARY", "SUMMARY: is empty"),
        ("UID:2@example.com", "", "UID: is there twice"),
        ("STATUS:PERHAPS", "", "STATUS: 'PERHAPS' is none of"),
        ("X-NOTHING:1", "ATTENDEE", "ATTENDEE: 0 people are invited"),
        ("ATTENDEE:mailto:other@example.com", "", "ATTENDEE: 2 people are invited; a booking has one customer"),
        ("ATTENDEE:mailto:nobody", "ATTENDEE", "ATTENDEE: 'nobody' is not an e-mail address"),
        ("ATTENDEE", "ATTENDEE", "line 3: line 9 is not a property: 'ATTENDEE'"),
    ],
)
def test_an_event_that_is_no_single_booking_says_why(property_: str, without: str, expected: str) -> None:
    assert expected in complaint(calendar(event(property_, without=without)))


def test_rooms_and_the_organizer_are_not_customers() -> None:
    guests = (
        "ORGANIZER:mailto:desk@example.com",
        "ATTENDEE;CN=Desk:MAILTO:desk@example.com",
        "ATTENDEE;CUTYPE=ROOM:mailto:hall@example.com",
    )
    assert booking(calendar(event(*guests))).customer.name == "Jürgen Müller"


def test_alarms_and_zone_definitions_within_do_not_count() -> None:
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Berlin\r\nBEGIN:STANDARD\r\nDTSTART:16010101T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    )
    alarm = ("BEGIN:VALARM", "SUMMARY:Alarm", "ATTENDEE:mailto:alarm@example.com", "DURATION:PT5M", "END:VALARM")
    assert booking(calendar(event(*alarm), head=zone)).service == "Haarschnitt"


def test_a_line_that_is_folded_within_a_letter_is_joined() -> None:
    content = calendar(event()).encode().replace("ö".encode(), b"\xc3\r\n \xb6")
    (row,) = read(content)
    assert isinstance(row, BookingRow) and row.location == "Schönhauser Allee 12, Berlin"


def test_text_is_unescaped_once() -> None:
    row = booking(calendar(event(r"SUMMARY:Cut\, wash\; and \\n dry\ntwice", without="SUMMARY")))
    assert row.service == r"Cut, wash; and \n dry twice"


def test_a_bad_event_does_not_keep_the_others_out() -> None:
    rows = read(calendar(event("RRULE:FREQ=DAILY"), event(UID="2"), event(UID="2"), event(UID="3")))
    assert [type(row) for row in rows] == [BadRow, BookingRow, BadRow, BookingRow]
    assert isinstance(rows[2], BadRow) and "already on line" in str(rows[2].errors[0])


def test_a_file_that_was_cut_off_says_so() -> None:
    content = calendar(event(), event(UID="2"))
    rows = read(content[: content.rindex("SUMMARY")])
    assert isinstance(rows[0], BookingRow) and isinstance(rows[1], BadRow)
    assert "it was cut off" in str(rows[1].errors[0])


def test_an_event_that_never_ends_does_not_swallow_the_next() -> None:
    rows = read(calendar(event().removesuffix("END:VEVENT").rstrip(), event(UID="2")))
    assert [type(row) for row in rows] == [BadRow, BookingRow]


def test_what_one_calendar_says_does_not_hold_for_the_next_in_the_file() -> None:
    rows = read(calendar(event(), head="METHOD:CANCEL") + calendar(event(UID="2")))
    assert [row.status for row in rows if isinstance(row, BookingRow)] == ["cancelled", "booked"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        ("external_id,service\n1,2\n", "does not begin with BEGIN:VCALENDAR"),
        (calendar(head="X-WR-TIMEZONE:Berlin"), "X-WR-TIMEZONE: 'Berlin' is not a time zone. Did you mean"),
    ],
)
def test_a_file_that_is_no_calendar_says_so(content: str, expected: str) -> None:
    with pytest.raises(UnusableFile) as caught:
        read(content)
    assert expected in str(caught.value)


def test_attachments_of_any_size_cost_no_memory() -> None:
    def peak(lines: int) -> int:
        attached = "ATTACH;ENCODING=BASE64;VALUE=BINARY:" + "\r\n ".join(["A" * 72] * lines)
        with Source(ics(calendar(event(attached)))) as source:
            tracemalloc.start()
            assert len(list(read_bookings(source))) == 1
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(1)
    assert peak(20_000) < peak(100) + 300_000  # of 1.4 MB; other threads of the process need some, too


def test_a_summary_without_end_is_refused() -> None:
    folded = "\r\n ".join(["x" * 70] * (LONGEST_LINE // 60))
    assert "longer than" in complaint(calendar(event(f"SUMMARY:{folded}", without="SUMMARY")))


def lines() -> Iterator[str]:
    yield from (f"{name}:{value}" for name, value in EVENT.items())
    yield from ("BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VALARM", "END:VALARM", "END:")
    yield from ("DTSTART;TZID=:20300506T100000", "DTSTART;TZID=a;TZID=b:1", "DURATION:P99999999999W", ' folded "', ":")
    yield from (
        "X-WR-TIMEZONE:Europe/Berlin",
        "DTSTART;VALUE=PERIOD:20300506T100000Z/P1D",
        "ATTENDEE;CN=\x00:mailto:%00",
    )


LIKELY = st.sampled_from([line.encode() for line in lines()])


@given(st.lists(st.one_of(LIKELY, st.binary(max_size=40)), max_size=14), st.sampled_from([b"", b"BEGIN:VEVENT\n"]))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_lines_are_events_or_an_unusable_file(found: list[bytes], begin: bytes) -> None:
    try:
        rows = read(b"BEGIN:VCALENDAR\n" + begin + b"\n".join([*found, b"END:VEVENT\n"]))
    except UnusableFile:
        return
    assert all(isinstance(row, BookingRow) or row.errors for row in rows)
