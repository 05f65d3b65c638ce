"""Rows that do not go in: each says which cell, why, and what to write instead."""

import pytest

from notifications.imports.rows import BadRow, BookingRow, booking_row, payment_row
from tests.notifications.importing import BOOKING, PAYMENT


def complaint(template: dict[str, str], **changes: str) -> str:
    """What is said about a row like `template` with these changes."""
    parse = payment_row if "amount" in template else booking_row
    row = parse(7, {**template, **changes})
    assert isinstance(row, BadRow), row
    return "; ".join(str(error) for error in row.errors)


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
