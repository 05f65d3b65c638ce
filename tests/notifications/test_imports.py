"""What a CSV file does to bookings, payments, customers and reminders; what is said about rows that stay out."""

import csv
import io
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings, strategies as st

from jobs.models import Job
from notifications import bookings, imports, payments
from notifications.imports import import_bookings, import_payments, read_bookings, read_payments, upserts
from notifications.imports.files import LONGEST_LINE, MOST_LINES, Source, UnusableFile
from notifications.imports.outcomes import Outcome
from notifications.imports.rows import BOOKING_COLUMNS, PAYMENT_COLUMNS, BadRow, BookingRow, booking_row, payment_row
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule
from tests.factories import alice, make_booking

BOOKING = {
    "external_id": "B-1",
    "customer_id": "C-1",
    "customer_name": "Jürgen Müller",
    "customer_email": "juergen@example.com",
    "customer_phone": "+49 30 23125-123",
    "service": "Haarschnitt",
    "starts_at": "2030-05-06T10:00",
    "duration_minutes": "45",
    "time_zone": "Europe/Berlin",
    "status": "booked",
}
PAYMENT = {
    "external_id": "P-1",
    "customer_id": "C-1",
    "customer_name": "Jürgen Müller",
    "customer_email": "juergen@example.com",
    "subject": "Haarschnitt",
    "amount": "45.50",
    "currency": "EUR",
    "due_on": "2030-05-06",
    "time_zone": "Europe/Berlin",
}


def text_of(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def a_file(content: str | bytes, name: str = "rows.csv") -> Path:
    path = Path(tempfile.mkdtemp(), name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def whole(outcomes: Iterator[Outcome]) -> Outcome:
    total = Outcome()
    for outcome in outcomes:
        total.add(outcome)
        total.bad += outcome.bad
        total.changes += outcome.changes
    return total


def import_rows(*rows: dict[str, str], zone: str | None = None, **options: Any) -> Outcome:
    """Import rows that are like BOOKING or PAYMENT, or a text as it is."""
    with Source(a_file(text_of(list(rows)))) as source:
        if "amount" in rows[0]:
            return whole(import_payments(read_payments(source, zone=zone), **options))
        return whole(import_bookings(read_bookings(source, zone=zone), **options))


def read(content: str | bytes, zone: str | None = None) -> list[BookingRow | BadRow]:
    with Source(a_file(content)) as source:
        return list(read_bookings(source, zone=zone))


def many(number: int, prefix: str = "B", **changes: str) -> list[dict[str, str]]:
    ids = [f"{prefix}-{n}" for n in range(number)]
    return [
        {**BOOKING, "external_id": one, "customer_id": one, "customer_email": f"{one}@example.com", **changes}
        for one in ids
    ]


def complaint(template: dict[str, str], **changes: str) -> str:
    """What is said about a row like `template` with these changes."""
    parse = payment_row if "amount" in template else booking_row
    row = parse(7, {**template, **changes})
    assert isinstance(row, BadRow), row
    return "; ".join(str(error) for error in row.errors)


# --- Rows that go in -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_becomes_a_booking_with_its_customer_and_reminders() -> None:
    outcome = import_rows(BOOKING)
    booking = Booking.objects.select_related("customer").get(external_id="B-1")
    assert (str(booking.wall_time), booking.time_zone, booking.status) == ("10:00:00", "Europe/Berlin", "booked")
    assert booking.starts_at.isoformat() == "2030-05-06T08:00:00+00:00"
    assert (booking.ends_at - booking.starts_at).total_seconds() == 45 * 60
    assert (booking.customer.name, str(booking.customer.phone)) == ("Jürgen Müller", "+493023125123")
    assert outcome.rows == {"created": 1} and outcome.deliveries == {("planned", ""): 3}
    assert Job.objects.count() == 3


@pytest.mark.django_db
def test_a_row_becomes_a_payment_in_minor_units() -> None:
    import_rows(PAYMENT, {**PAYMENT, "external_id": "P-2", "amount": "6600", "currency": "JPY"})
    import_rows({**PAYMENT, "external_id": "P-3", "amount": "1.255", "currency": "bhd"})
    amounts = {payment.external_id: (payment.amount, payment.currency) for payment in Payment.objects.all()}
    assert amounts == {"P-1": (4550, "EUR"), "P-2": (6600, "JPY"), "P-3": (1255, "BHD")}


@pytest.mark.django_db
def test_the_same_file_again_changes_nothing() -> None:
    rows = many(5)
    import_rows(*rows)
    before = list(Booking.objects.values()), list(Customer.objects.values()), list(Delivery.objects.values())
    outcome = import_rows(*rows)
    assert outcome.rows == {"unchanged": 5} and not outcome.deliveries and not outcome.customers
    assert before == (list(Booking.objects.values()), list(Customer.objects.values()), list(Delivery.objects.values()))


@pytest.mark.django_db
def test_a_changed_time_withdraws_the_reminders_of_the_old_time() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "starts_at": "2030-05-06T11:30"})
    booking = Booking.objects.get()
    assert (booking.revision, str(booking.wall_time)) == (2, "11:30:00")
    assert outcome.rows == {"moved": 1}
    assert outcome.deliveries["planned", ""] == sum(outcome.deliveries.values()) - 3 == 3
    assert set(booking.deliveries.filter(state="planned").values_list("revision", flat=True)) == {2}
    assert "from Haarschnitt, 2030-05-06 10:00" in str(outcome.changes[0])


@pytest.mark.django_db
def test_a_changed_end_or_text_keeps_the_reminders() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "duration_minutes": "60", "service": "Färben", "location": "Berlin"})
    booking = Booking.objects.get()
    assert (booking.revision, booking.service, booking.location) == (1, "Färben", "Berlin")
    assert outcome.rows == {"changed": 1} and not outcome.deliveries


@pytest.mark.django_db
def test_another_customer_gets_reminders_of_their_own() -> None:
    import_rows(BOOKING)
    import_rows({**BOOKING, "customer_id": "C-2", "customer_name": "Zoë", "customer_email": "zoe@example.com"})
    waiting = Delivery.objects.filter(state="planned").select_related("customer")
    assert [delivery.customer.name for delivery in waiting] == ["Zoë"] * 3


@pytest.mark.django_db
def test_cancelled_in_the_file_cancels_here() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "status": "cancelled"})
    assert Booking.objects.get().status == "cancelled" and outcome.rows == {"cancelled": 1}
    assert not Delivery.objects.filter(state="planned").exists()
    assert import_rows({**BOOKING, "status": "cancelled"}).rows == {"unchanged": 1}


@pytest.mark.django_db
def test_what_is_cancelled_here_stays_so_unless_the_file_may_reopen() -> None:
    import_rows(BOOKING)
    bookings.cancel(Booking.objects.get())
    assert import_rows(BOOKING).rows == {"left": 1}
    assert Booking.objects.get().status == "cancelled"
    outcome = import_rows(BOOKING, reopen=True)
    assert Booking.objects.get().status == "booked" and outcome.rows == {"reopened": 1}
    assert outcome.deliveries == {("planned", ""): 3}


@pytest.mark.django_db
def test_columns_that_are_missing_leave_what_is_stored() -> None:
    import_rows({**BOOKING, "location": "Berlin", "customer_locale": "de-DE", "customer_time_zone": "Europe/Paris"})
    outcome = import_rows({name: value for name, value in BOOKING.items() if name not in ("customer_phone", "status")})
    customer = Customer.objects.get()
    assert outcome.rows == {"unchanged": 1} and Booking.objects.get().location == "Berlin"
    assert (customer.locale, customer.time_zone, str(customer.phone)) == ("de_DE", "Europe/Paris", "+493023125123")


@pytest.mark.django_db
def test_a_booking_too_soon_is_in_and_says_why_nothing_will_be_sent() -> None:
    outcome = import_rows({**BOOKING, "starts_at": "2020-05-06T10:00"})
    assert outcome.deliveries == {("skipped", "made too late for this reminder"): 3}


@pytest.mark.django_db
def test_a_payment_follows_its_file_and_never_forgets_money() -> None:
    import_rows(PAYMENT)
    payments.mark_paid(Payment.objects.get(), 1000)
    assert import_rows({**PAYMENT, "paid": "5.00"}).rows == {"unchanged": 1}
    assert Payment.objects.get().paid_amount == 1000
    assert import_rows({**PAYMENT, "due_on": "2030-06-06"}).rows == {"moved": 1}
    assert Payment.objects.get().revision == 2
    outcome = import_rows({**PAYMENT, "due_on": "2030-06-06", "paid": "45.50"})
    assert Payment.objects.get().status == "paid"
    assert outcome.deliveries == {("withdrawn", "the payment is paid"): 5}
    assert import_rows({**PAYMENT, "status": "paid"}).rows == {"unchanged": 1}


@pytest.mark.django_db
def test_a_payment_names_its_booking_by_external_id() -> None:
    import_rows(BOOKING)
    outcome = import_rows(
        {**PAYMENT, "booking_external_id": "B-1"},
        {**PAYMENT, "external_id": "P-2", "booking_external_id": "B-99"},
    )
    assert [(payment.external_id, payment.booking) for payment in Payment.objects.all()] == [
        ("P-1", Booking.objects.get())
    ]
    assert str(outcome.bad[0].errors[0]) == (
        "line 3: booking_external_id: there is no booking 'B-99'; import the bookings first"
    )


# --- Customers -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_customer_is_found_by_email_in_any_case() -> None:
    stored = alice(email="Alice@Example.com")
    row = {**BOOKING, "customer_id": "", "customer_name": "Alice Ähre", "customer_email": "aLICE@eXAMPLE.com"}
    outcome = import_rows(row, {**row, "external_id": "B-2"})
    assert not outcome.customers["created"]
    assert set(Booking.objects.values_list("customer", flat=True)) == {stored.pk}
    stored.refresh_from_db()
    assert stored.email == "Alice@Example.com"


@pytest.mark.django_db
def test_an_external_id_wins_over_the_email_and_updates_it() -> None:
    import_rows(BOOKING)
    outcome = import_rows({**BOOKING, "customer_email": "new@example.com", "customer_name": "J. Müller"})
    customer = Customer.objects.get()
    assert (customer.email, customer.name) == ("new@example.com", "J. Müller")
    assert outcome.customers == {"changed": 1} and outcome.rows == {"unchanged": 1}


@pytest.mark.django_db
def test_a_family_that_shares_a_mailbox_is_several_customers() -> None:
    import_rows(BOOKING, {**BOOKING, "external_id": "B-2", "customer_id": "C-2", "customer_name": "Jutta"})
    assert Customer.objects.count() == 2


@pytest.mark.django_db
def test_a_customer_who_is_known_by_email_alone_takes_the_id_of_the_file() -> None:
    stored = alice()
    import_rows({**BOOKING, "customer_email": stored.email})
    stored.refresh_from_db()
    assert stored.external_id == "C-1"


@pytest.mark.django_db
def test_an_address_that_comes_later_brings_the_reminders_back() -> None:
    outcome = import_rows({**BOOKING, "customer_email": ""})
    assert outcome.deliveries == {("skipped", "the customer has no address for this channel"): 3}
    assert import_rows(BOOKING).deliveries == {("planned", ""): 3}


# --- How it is done ------------------------------------------------------------------------------------


def statements(number: int, changes: dict[str, str]) -> int:
    """For importing so many new rows, or for changing them."""
    if changes:
        import_rows(*many(number, f"of{number}"))
    with CaptureQueriesContext(connection) as captured:
        import_rows(*many(number, f"of{number}", **changes))
    return len(captured)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes", [{}, {"starts_at": "2030-05-07T10:00"}, {"status": "cancelled"}, {"customer_name": "Renamed"}]
)
def test_the_number_of_statements_does_not_depend_on_the_number_of_rows(
    changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # One reminder a booking: 400 fit into one chunk of the plan. Django splits inserts on SQLite for limits of old.
    ReminderRule.objects.exclude(name="24 hours before a booking").delete()
    if connection.vendor == "sqlite":
        monkeypatch.setattr(type(connection.features), "max_query_params", 32_000)
    assert statements(100, changes) == statements(400, changes) < 40


@pytest.mark.django_db
def test_an_unchanged_chunk_costs_a_handful_of_statements(django_assert_num_queries: Any) -> None:
    import_rows(*many(50))
    with django_assert_num_queries(9):  # bookings, customers, the transaction, and what `planning.decide` asks for
        import_rows(*many(50))


@pytest.mark.django_db
def test_rows_are_read_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[BookingRow]:
        nonlocal taken
        while True:
            taken += 1
            row = booking_row(taken, {**BOOKING, "external_id": f"B-{taken}"})
            assert isinstance(row, BookingRow)
            yield row

    first = next(import_bookings(endless()))
    assert taken == first.rows.total() == imports.CHUNK


def test_memory_does_not_grow_with_the_file() -> None:
    line = text_of([BOOKING]).splitlines()[1]
    header = ",".join(BOOKING)

    def peak(number: int) -> int:
        path = a_file("\n".join([header, *(line.replace("B-1", f"B-{n}") for n in range(number))]))
        with Source(path) as source:
            rows = read_bookings(source)
            next(rows)
            tracemalloc.start()
            for _ in rows:
                pass
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(10)
    assert peak(2000) < peak(200) + 50_000


@pytest.mark.django_db
def test_a_bad_row_does_not_keep_the_good_ones_out() -> None:
    rows = many(4)
    rows[1]["starts_at"] = "tomorrow"
    outcome = import_rows(*rows)
    assert outcome.rows == {"created": 3, "bad": 1}
    assert [error.line for error in outcome.bad[0].errors] == [3]


@pytest.mark.django_db
def test_a_dry_run_tells_all_and_changes_nothing() -> None:
    import_rows(BOOKING)
    before = list(Booking.objects.values()), list(Delivery.objects.values()), Job.objects.count()
    moved = {**BOOKING, "starts_at": "2030-05-06T12:00", "customer_name": "Somebody Else"}
    outcome = import_rows(moved, {**BOOKING, "external_id": "B-2"}, dry_run=True)
    assert outcome.rows == {"moved": 1, "created": 1} and outcome.deliveries["planned", ""] == 6
    assert before == (list(Booking.objects.values()), list(Delivery.objects.values()), Job.objects.count())
    assert Customer.objects.get().name == "Jürgen Müller"


@pytest.mark.django_db
def test_two_imports_at_once_do_not_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    import_rows(BOOKING)
    really, looks = upserts.Upsert._stored, []

    def too_early(self: Any, ids: list[str]) -> dict[str, Any]:
        looks.append(ids)
        return {} if len(looks) == 1 else really(self, ids)  # the other one had not committed yet

    monkeypatch.setattr(upserts.Upsert, "_stored", too_early)
    assert import_rows(BOOKING).rows == {"unchanged": 1}
    assert len(looks) == 2


@pytest.mark.django_db
def test_a_booking_made_elsewhere_is_not_touched() -> None:
    other = make_booking(alice())
    import_rows(BOOKING)
    other.refresh_from_db()
    assert other.revision == 1 and other.external_id is None


# --- Rows that do not go in ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"external_id": ""}, "external_id: is empty"),
        ({"customer_email": "", "customer_id": ""}, "one of them has to say who the customer is"),
        ({"customer_email": "a(at)b"}, "'a(at)b' is not an e-mail address"),
        ({"customer_phone": "030 2312"}, "'030 2312' is not a phone number. Write it with its country code"),
        ({"customer_locale": "klingon"}, "'klingon' is not a locale"),
        ({"time_zone": "Berlin"}, "Did you mean Europe/Berlin?"),
        ({"time_zone": "Europe/Berln"}, "Did you mean Europe/Berlin"),
        ({"time_zone": "europe/berlin"}, "Did you mean Europe/Berlin"),
        ({"time_zone": "W. Europe Standard Time"}, "Did you mean Europe/Berlin"),
        ({"time_zone": ""}, "names no time zone. Add an offset (+02:00), a time_zone column, or pass --time-zone"),
        ({"starts_at": "2027-03-28T02:30"}, "does not exist in Europe/Berlin"),
        ({"starts_at": "2027-03-28T02:30"}, "Did you mean 2027-03-28 03:30?"),
        ({"starts_at": "2011-12-30T10:00", "time_zone": "Pacific/Apia"}, "does not exist in Pacific/Apia"),
        ({"starts_at": "2027-03-28"}, "is a date without a time of day"),
        ({"starts_at": "soon"}, "'soon' is not a time. Write 2027-03-28T14:30"),
        ({"starts_at": "9999-12-31T23:00-05:00"}, "the year 9999 is not between"),
        ({"duration_minutes": ""}, "one of them has to say when it ends"),
        ({"duration_minutes": "0"}, "'0' is not a number of minutes"),
        ({"duration_minutes": "999999"}, "at most 366 days"),
        ({"duration_minutes": "", "ends_at": "2030-05-06T09:00"}, "ends_at: it ends"),
        ({"ends_at": "2030-05-06T11:00"}, "contradict each other"),
        ({"status": "maybe"}, "'maybe' is none of: booked, cancelled"),
        ({"service": "x" * 201}, "is 201 characters long; at most 200 are kept"),
        ({"service": "a\x00b"}, "control character U+0000"),
        ({"service": "a\x1b[2Jb"}, "control character U+001B"),
    ],
)
def test_a_bad_booking_is_told_what_to_correct(changes: dict[str, str], expected: str) -> None:
    assert expected in complaint(BOOKING, **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"currency": "Euro"}, "'Euro' is not a currency. Use an ISO 4217 code such as EUR"),
        ({"amount": "12.505"}, "'12.505' EUR has too many decimals; EUR has 2 decimals"),
        ({"amount": "12.5", "currency": "JPY"}, "JPY has no decimals"),
        ({"amount": "1.2345", "currency": "BHD"}, "BHD has 3 decimals"),
        ({"amount": "12,50"}, "Write digits with a point"),
        ({"amount": "-5"}, "'-5' is not an amount"),
        ({"amount": "1e3"}, "'1e3' is not an amount"),
        ({"amount": "NaN"}, "'NaN' is not an amount"),
        ({"amount": "٤٥"}, "is not an amount"),
        ({"amount": "0.00"}, "the amount is nothing"),
        ({"amount": "9" * 30}, "too large"),
        ({"due_on": "06.05.2030"}, "'06.05.2030' is not a date. Write it as 2027-03-28"),
        ({"due_on": ""}, "due_on: is empty"),
        ({"status": "overdue"}, "none of: open, paid, cancelled"),
        ({"time_zone": "Mars/Olympus"}, "is not a time zone"),
    ],
)
def test_a_bad_payment_is_told_what_to_correct(changes: dict[str, str], expected: str) -> None:
    assert expected in complaint(PAYMENT, **changes)


def test_all_that_is_wrong_with_a_row_is_said_at_once() -> None:
    row = booking_row(3, {**BOOKING, "service": "", "customer_email": "x", "starts_at": "x"})
    assert isinstance(row, BadRow)
    assert [error.field for error in row.errors] == ["customer_email", "service", "starts_at"]


def test_an_ambiguous_time_is_the_first_one_and_an_offset_says_otherwise() -> None:
    first = booking_row(1, {**BOOKING, "starts_at": "2027-10-31T02:30"})
    second = booking_row(1, {**BOOKING, "starts_at": "2027-10-31T02:30+01:00"})
    assert isinstance(first, BookingRow) and isinstance(second, BookingRow)
    assert (first.starts_at.hour, second.starts_at.hour) == (0, 1)


def test_a_time_without_a_zone_takes_the_one_that_was_passed() -> None:
    row = booking_row(1, {**BOOKING, "time_zone": ""}, "Asia/Kathmandu")
    assert isinstance(row, BookingRow)
    assert (row.starts_at.isoformat(), row.time_zone) == ("2030-05-06T04:15:00+00:00", "Asia/Kathmandu")


# --- Files that are not what they should be ------------------------------------------------------------

HEADER = ",".join(BOOKING)
LINE = ",".join(BOOKING.values())


def errors(content: str | bytes) -> list[str]:
    return [str(error) for row in read(content) if isinstance(row, BadRow) for error in row.errors]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty. The first line has to name the columns"),
        (b"\n" + HEADER.encode(), "begins with an empty line"),
        (f"{HEADER}\n".encode("utf-16"), "is UTF-16. Save it as UTF-8"),
        (f"{HEADER},caf\u00e9".encode("latin-1"), "(0xe9) is not UTF-8"),
        (HEADER.replace("starts_at", "start_at").encode(), "column starts_at is missing (is it 'start_at'?)"),
        (HEADER.replace("duration_minutes", "x").encode(), "column ends_at or duration_minutes is missing"),
        (f"{HEADER},service".encode(), "column service is there twice"),
        (b"PK\x03\x04\x14\x00" + b"\x00" * 99, "header"),
        (b'"' + HEADER.encode(), "not a CSV header"),
        (b"x" * (LONGEST_LINE + 1), "longer than"),
    ],
)
def test_a_file_that_is_no_table_of_bookings_says_what_is_wrong(content: bytes, expected: str) -> None:
    with pytest.raises(UnusableFile) as caught:
        read(content)
    assert expected in str(caught.value)


def test_a_file_that_is_not_there_says_so() -> None:
    with pytest.raises(UnusableFile, match="No such file"):
        Source("/nowhere.csv")


def test_unknown_columns_are_warned_of_and_left_out() -> None:
    with Source(a_file(f"{HEADER},Locaton,line,errors\n{LINE},Berlin,2,x\n")) as source:
        rows = list(read_bookings(source))
        assert len(rows) == 1 and isinstance(rows[0], BookingRow)
        assert source.warnings == ["column 'locaton' is not known and is left out (is it 'location'?)"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_tables_of_any_spreadsheet_are_read(delimiter: str) -> None:
    content = "\ufeff" + f"{HEADER}\r\n{LINE}\r\n,,,,,,,,,\r\n\r\n".replace(",", delimiter)
    assert [type(row) for row in read(content)] == [BookingRow]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE + ",more", "line 3: the row has 11 cells, the header has 10. Put quotes around text with commas."),
        (LINE.rpartition(",")[0], "line 3: the row has 9 cells"),
        (LINE.replace("Haarschnitt", '"Haar" schnitt'), "line 3: this is not CSV"),
        (LINE.replace("Haarschnitt", '"Haarschnitt'), "line 3: a quote is opened on this line and never closed"),
        (LINE.replace("Haarschnitt", "x" * LONGEST_LINE), "line 3: the line is longer than 131,072 bytes"),
        (LINE.replace("ü", "\udcfc"), "byte 10 of line 3 (0xfc) is not UTF-8"),
    ],
)
def test_a_line_that_is_not_a_row_is_named_and_the_next_one_is_read(line: str, expected: str) -> None:
    content = "\n".join([HEADER, LINE, line, LINE.replace("B-1", "B-3"), ""])
    rows = read(content.encode(errors="surrogateescape"))
    assert [type(row) for row in rows] == [BookingRow, BadRow, BookingRow]
    assert isinstance(rows[1], BadRow) and expected in str(rows[1].errors[0])


def test_a_quote_that_is_never_closed_swallows_nothing() -> None:
    lines = [LINE.replace("B-1", f"B-{n}") for n in range(3 * MOST_LINES)]
    lines[1] = lines[1].replace("Haarschnitt", '"Haarschnitt')
    rows = read("\n".join([HEADER, *lines]))
    assert [row.line for row in rows if isinstance(row, BadRow)] == [3]
    assert len(rows) == len(lines)


def test_text_in_quotes_may_span_lines() -> None:
    row = read(f"{HEADER}\n{LINE.replace('Haarschnitt', chr(34) + 'Haar' + chr(10) + 'schnitt' + chr(34))}\n")[0]
    assert isinstance(row, BookingRow) and row.service == "Haar schnitt"


def test_an_id_that_comes_twice_is_refused_the_second_time() -> None:
    assert errors(f"{HEADER}\n{LINE}\n{LINE}\n") == [
        "line 3: external_id: 'B-1' is already on line 2 of this file; an id names one thing"
    ]


# --- Anything at all -----------------------------------------------------------------------------------

LIKELY = st.sampled_from(
    [
        *BOOKING.values(),
        *PAYMENT.values(),
        *("2027-03-28T02:30", "0001-01-01T00:00+23:59", "9999-12-31T23:59-23:59", "2027-W12-7", "24:00", "-1", "1e999"),
        *(
            "Europe",
            "../../etc/passwd",
            "localtime",
            "posixrules",
            "\u212a@example.com",
            "a@xn--",
            "+",
            "00",
            "1" * 5000,
        ),
    ]
)
ANY_TEXT = st.one_of(LIKELY, st.text(), st.text(st.characters(codec=None), max_size=30))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(BOOKING_COLUMNS.known, ANY_TEXT)))
@settings(deadline=None, max_examples=150)
def test_any_text_in_any_cell_is_a_booking_or_a_bad_row(cells: dict[str, str]) -> None:
    row = booking_row(5, BOOKING | cells)
    assert isinstance(row, BookingRow) or (row.line == 5 and row.errors)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(PAYMENT_COLUMNS.known, ANY_TEXT)))
@settings(deadline=None, max_examples=150)
def test_any_text_in_any_cell_is_a_payment_or_a_bad_row(cells: dict[str, str]) -> None:
    row = payment_row(5, PAYMENT | cells)
    assert not isinstance(row, BadRow) or row.errors


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_rows_or_an_unusable_file(content: bytes, with_header: bool) -> None:
    try:
        rows = read(HEADER.encode() + b"\n" + content if with_header else content)
    except UnusableFile:
        return
    assert all(isinstance(row, BookingRow) or row.errors for row in rows)


@pytest.mark.django_db
@given(name=st.sampled_from(["external_id", "customer_id", "customer_name", "service"]), text=ANY_TEXT)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_accepted_can_be_stored(name: str, text: str) -> None:
    row = booking_row(5, {**BOOKING, name: text})
    outcome = whole(import_bookings(iter([row]), dry_run=True))
    assert outcome.rows.total() == 1
