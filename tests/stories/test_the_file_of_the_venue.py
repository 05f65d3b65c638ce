"""Bookings that come from a file of the venue every night, told to the customer's mailbox and calendar.

Of the issue's lines: bookings (what an import moves is moved for everybody).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import call_command

from notifications import bookings, invitations
from notifications.models import Booking, ReminderRule
from tests.factories import DAY, HOUR
from tests.stories.conftest import Day, Post

pytestmark = pytest.mark.django_db

START = datetime(2027, 3, 26, 10, tzinfo=UTC)
File = Callable[..., Booking]


@pytest.fixture
def says_the_file(tmp_path: Path) -> File:
    """`says_the_file(START)`: it is imported, with Alice's booking at that time."""
    path = tmp_path / "bookings.csv"
    columns = "external_id,customer_id,customer_name,customer_email,service,starts_at,duration_minutes,time_zone,status"

    def read(starts: datetime, service: str = "Haircut", status: str = "booked") -> Booking:
        row = f"B-1,C-1,Alice,alice@example.com,{service},{starts:%Y-%m-%dT%H:%M},60,UTC,{status}"
        path.write_text(f"{columns}\n{row}\n")
        call_command("import_bookings", path, verbosity=0)
        return Booking.objects.get()

    return read


def number(booking: Booking) -> int:
    """Of the calendar entry, as a calendar reads it."""
    entry = invitations.entry(booking, "a@example.com", invites=True, now=START).content
    content = entry.decode() if isinstance(entry, bytes) else entry
    return int(next(line for line in content.splitlines() if line.startswith("SEQUENCE:")).partition(":")[2])


def test_whoever_confirmed_the_old_time_is_reminded_of_the_one_the_file_moves_it_to(
    day: Day, post: Post, says_the_file: File
) -> None:
    ReminderRule.objects.exclude(name__startswith="24 hours").delete()
    ReminderRule.objects.update(unless_confirmed=True)
    bookings.confirm(says_the_file(START))
    assert says_the_file(START, service="Haircut with Jo").confirmed_at is not None
    assert says_the_file(START + DAY).confirmed_at is None
    day.goes_on_until(START + 2 * DAY)
    assert post.recipients == ["alice"]


def test_every_change_by_a_file_has_a_higher_number_in_the_customers_calendar(says_the_file: File, day: Day) -> None:
    seen = [
        number(says_the_file(START)),
        number(says_the_file(START)),  # the same again
        number(says_the_file(START, service="Haircut with Jo")),
        number(says_the_file(START + HOUR)),
        number(says_the_file(START + HOUR, status="cancelled")),
    ]
    assert seen == [0, 0, 1, 2, 3]
