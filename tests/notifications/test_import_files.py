"""Files that are not what they should be: a reason, and nothing of them goes in by mistake."""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from notifications.imports import import_bookings, read_bookings
from notifications.imports.files import LONGEST_LINE, MOST_LINES, Source, UnusableFile
from notifications.imports.rows import BOOKING_COLUMNS, PAYMENT_COLUMNS, BadRow, BookingRow, booking_row, payment_row
from tests.notifications.importing import BOOKING, PAYMENT, a_file, whole


def read(content: str | bytes, zone: str | None = None) -> list[BookingRow | BadRow]:
    with Source(a_file(content)) as source:
        return list(read_bookings(source, zone=zone))


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
