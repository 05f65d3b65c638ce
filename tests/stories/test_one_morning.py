"""Quiet hours that move several reminders of one booking to one moment: the nearest to the start goes, alone."""

from datetime import UTC, datetime, time
from typing import Any

import pytest

from jobs.models import Job
from notifications.models import Booking, Consent, ReminderRule
from tests.factories import MINUTE, alice, make_booking
from tests.notifications.providers import Providers, providers as providers
from tests.stories.conftest import Day

pytestmark = pytest.mark.django_db
EIGHT = datetime(2027, 3, 11, 7, tzinfo=UTC)  # in Berlin


@pytest.fixture(autouse=True)
def _the_day_before(day: Day, providers: Providers) -> None:
    day.jumps_to(datetime(2027, 3, 9, 12, tzinfo=UTC))
    quiet = {"quiet_from": time(21), "quiet_until": time(8), "quiet": "later", "useful_for": None}
    ReminderRule.objects.filter(name__contains=" before a booking").exclude(name__startswith="24").update(**quiet)


def ten_past_eight(**fields: Any) -> Booking:
    return make_booking(alice(**fields), starts=EIGHT + 10 * MINUTE)


def at_eight(day: Day, booking: Booking) -> dict[str, tuple[str, str]]:
    """What became of the two reminders of that morning."""
    rows = booking.deliveries.exclude(rule__name__startswith="24").select_related("rule")
    assert {row.send_at.replace(microsecond=0, second=0) for row in rows} == {EIGHT}
    day.goes_on_until(EIGHT + MINUTE)
    return {row.rule.name.split(" before")[0]: (row.state, row.reason) for row in rows.all()}


def test_only_the_most_relevant_of_them_goes(day: Day) -> None:
    fates = at_eight(day, ten_past_eight())
    assert fates == {"1 hour": ("skipped", "superseded"), "15 minutes": ("sent", "")}


def test_however_their_tolerances_spread_them(day: Day) -> None:
    ReminderRule.objects.filter(name__startswith="1 hour").update(tolerance=MINUTE)
    fates = at_eight(day, ten_past_eight())
    assert fates == {"1 hour": ("skipped", "superseded"), "15 minutes": ("sent", "")}


def test_one_gives_way_only_to_one_that_goes(day: Day) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=["sms"])
    booking = ten_past_eight(phone="+493012345678")
    Consent.objects.create(customer=booking.customer, channel="sms", granted=False)
    fates = at_eight(day, booking)
    assert fates == {"1 hour": ("sent", ""), "15 minutes": ("skipped", "opted_out")}


def test_two_rules_for_one_time_both_go(day: Day) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(
        offset=ReminderRule.objects.get(name__startswith="1 hour").offset
    )
    fates = at_eight(day, ten_past_eight())
    assert fates == {"1 hour": ("sent", ""), "15 minutes": ("sent", "")}


def test_without_quiet_hours_what_somebody_has_made_due_at_once_all_goes(day: Day) -> None:
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    booking = ten_past_eight()
    booking.deliveries.update(send_at=datetime.now(UTC))
    Job.objects.update(run_at=datetime.now(UTC))
    day.goes_on_until(datetime.now(UTC) + MINUTE)
    assert set(booking.deliveries.values_list("state", flat=True)) == {"sent"}
