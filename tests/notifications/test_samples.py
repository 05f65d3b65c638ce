"""The files that come with the application: they import, make a good demonstration, and show every mistake."""

import re
import shlex
from collections import Counter
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

import notifications
from notifications.imports import read_bookings, read_payments
from notifications.imports.files import Source
from notifications.imports.rows import BadRow, BookingRow, PaymentRow
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule

SAMPLES = Path(notifications.__file__).parent / "samples"


def bookings(name: str) -> list[BookingRow | BadRow]:
    with Source(SAMPLES / name) as source:
        return list(read_bookings(source))


def payments(name: str) -> list[PaymentRow | BadRow]:
    with Source(SAMPLES / name) as source:
        return list(read_payments(source))


def test_the_good_samples_are_good() -> None:
    found = [*bookings("bookings.csv"), *bookings("bookings.ics"), *payments("payments.csv")]
    assert [row for row in found if isinstance(row, BadRow)] == []
    assert Counter(type(row) for row in found) == {BookingRow: 30, PaymentRow: 12}


def test_the_samples_show_what_bookings_can_be() -> None:
    rows = [row for row in bookings("bookings.csv") if isinstance(row, BookingRow)]
    assert {row.status for row in rows} == {"booked", "cancelled"}
    assert any(row.customer.phone is None for row in rows)
    emails = [row.customer.email for row in rows]
    assert len(set(emails)) == len(rows) and all(email.endswith("@example.com") for email in emails)
    zones = {row.time_zone for row in rows}
    assert {"Europe/Berlin", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"} <= zones
    # the clocks go forward between the first and the last of them
    berlin = {row.starts_at.astimezone(ZoneInfo("Europe/Berlin")).utcoffset() for row in rows}
    assert berlin == {timedelta(hours=1), timedelta(hours=2)}


@pytest.mark.django_db
def test_all_three_kinds_of_reminder_fall_due_within_seconds_of_the_demonstration() -> None:
    call_command("import_bookings", SAMPLES / "bookings.csv", first_reminder_in=20.0, verbosity=0)
    soon = timezone.now() + timedelta(seconds=30)
    due = Delivery.objects.filter(state="planned", send_at__lte=soon).select_related("rule")
    assert Counter(delivery.rule.offset for delivery in due) == {
        timedelta(hours=-24): 2,
        timedelta(hours=-1): 2,
        timedelta(minutes=-15): 2,
    }
    in_minutes = Delivery.objects.filter(state="planned", send_at__lte=soon + timedelta(minutes=4))
    assert in_minutes.count() > 15


@pytest.mark.django_db
def test_at_any_hour_somebody_is_awake_and_reminded_within_minutes() -> None:
    """The README's demonstration: it keeps the quiet hours of everybody, and still shows something at once."""
    ReminderRule.objects.update(quiet_from=time(23), quiet_until=time(6), quiet="skip")  # tests begin without
    for hour in range(0, 24, 3):
        call_command("import_bookings", SAMPLES / "bookings.csv", first_reminder_in=hour * 3600.0 + 60, verbosity=0)
        begins = Booking.objects.order_by("starts_at").filter(status="booked")[0].starts_at - timedelta(minutes=15)
        soon = Delivery.objects.filter(state="planned", send_at__range=(begins, begins + timedelta(minutes=10)))
        assert soon.count() >= 3, f"{hour} hours from now"
        for delivery in soon.select_related("customer"):
            assert 6 <= delivery.send_at.astimezone(ZoneInfo(delivery.customer.time_zone)).hour < 23


@pytest.mark.django_db
def test_the_readme_shows_today_and_the_next_days() -> None:
    readme = (Path(notifications.__file__).parents[1] / "README.md").read_text()
    for command in re.findall(r"manage.py (import_\w+ .+)", readme):
        call_command(*shlex.split(command), verbosity=0)
    now = timezone.now()
    starts = list(Booking.objects.filter(status="booked").values_list("starts_at", flat=True))
    assert now < min(starts) < now + timedelta(minutes=30) and max(starts) < now + timedelta(days=2)
    due = [(day - timezone.localdate()).days for day in Payment.objects.values_list("due_on", flat=True)]
    assert {-3, 0, 3} <= set(due) and max(due) < 14  # overdue, of today, to come


@pytest.mark.django_db
def test_the_samples_fit_together() -> None:
    for name in ("bookings.csv", "bookings.ics"):
        call_command("import_bookings", SAMPLES / name)
    call_command("import_payments", SAMPLES / "payments.csv")
    assert (Booking.objects.count(), Customer.objects.count()) == (30, 24)
    assert Counter(Payment.objects.values_list("status", flat=True)) == {"open": 10, "paid": 1, "cancelled": 1}
    assert Payment.objects.filter(booking__isnull=True).count() == 1


def test_every_line_of_the_bad_samples_but_the_first_and_the_last_is_bad() -> None:
    for rows in (bookings("bad_rows.csv"), payments("bad_payments.csv")):
        good = [row.line for row in rows if not isinstance(row, BadRow)]
        # A booking that does not exist is found out only by the database.
        unknown = [row.line for row in rows if isinstance(row, PaymentRow) and row.booking_external_id]
        assert sorted(set(good) - set(unknown)) == [rows[0].line, rows[-1].line]


def test_the_bad_samples_show_a_different_mistake_on_every_line() -> None:
    told = [
        str(error).partition(": ")[2]
        for row in bookings("bad_rows.csv")
        if isinstance(row, BadRow)
        for error in row.errors
    ]
    assert len(told) == len(set(told)) == 29


@pytest.mark.django_db
def test_the_good_rows_among_the_bad_go_in() -> None:
    with pytest.raises(CommandError, match="29 bad rows; the others are in"):
        call_command("import_bookings", SAMPLES / "bad_rows.csv")
    with pytest.raises(CommandError, match="17 bad rows"):
        call_command("import_payments", SAMPLES / "bad_payments.csv")
    assert Booking.objects.count() == Payment.objects.count() == 2
