"""Quiet hours: by the customer's clocks, over midnight and on the days the clocks change (R9)."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from notifications import reminders, timing
from notifications.models import ReminderRule
from notifications.timing import Quiet, Window
from tests.factories import HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.stories.conftest import Day

BERLIN = "Europe/Berlin"
EVENING, MORNING = time(21), time(8)
LONG_AGO = datetime.fromisoformat("2026-01-01T00:00+00:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def quiet(how: str = "later", begins: time = EVENING, ends: time = MORNING, zone: str = BERLIN) -> Quiet:
    return Quiet(begins, ends, zone, how)


def planned(
    send_at: str, hours: Quiet, *, useful: timedelta = 22 * HOUR, since: datetime = LONG_AGO
) -> datetime | None:
    window = Window(at(send_at), at(send_at) + useful)
    found = timing.settled(window, hours, since=since, key="Booking:1", tolerance=timedelta())
    return found.send_at if found else None


@pytest.mark.parametrize(
    ("send_at", "how", "goes_out"),
    [
        ("2027-03-10T20:59+01:00", "later", "2027-03-10T20:59+01:00"),
        ("2027-03-10T21:00+01:00", "later", "2027-03-11T08:00+01:00"),
        ("2027-03-11T03:00+01:00", "later", "2027-03-11T08:00+01:00"),
        ("2027-03-11T08:00+01:00", "later", "2027-03-11T08:00+01:00"),
        ("2027-03-11T03:00+01:00", "earlier", "2027-03-10T20:45+01:00"),
        ("2027-03-11T03:00+01:00", "skip", None),
        ("2027-03-28T03:30+02:00", "later", "2027-03-28T08:00+02:00"),  # the night that lasts an hour less
        ("2027-03-28T03:30+02:00", "earlier", "2027-03-27T20:45+01:00"),
        ("2027-10-31T02:30+01:00", "later", "2027-10-31T08:00+01:00"),  # and the one that lasts an hour more
        ("2027-10-31T02:30+01:00", "earlier", "2027-10-30T20:45+02:00"),
    ],
)
def test_a_message_that_would_come_in_quiet_hours(send_at: str, how: str, goes_out: str | None) -> None:
    assert planned(send_at, quiet(how)) == (at(goes_out) if goes_out else None)


def test_later_is_no_use_so_it_goes_out_earlier_and_if_that_is_past_not_at_all() -> None:
    assert planned("2027-03-11T07:00+01:00", quiet("later"), useful=HOUR) == at("2027-03-10T20:45+01:00")
    late = at("2027-03-10T22:00+01:00")
    assert planned("2027-03-11T07:00+01:00", quiet("later"), useful=HOUR, since=late) is None
    assert planned("2027-03-11T07:00+01:00", quiet("earlier"), useful=2 * HOUR, since=late) == at(
        "2027-03-11T08:00+01:00"
    )


def test_quiet_hours_within_a_day_that_end_where_the_clocks_jump() -> None:
    siesta = quiet(begins=time(1), ends=time(2, 30))
    assert planned("2027-03-28T01:30+01:00", siesta) == at("2027-03-28T03:00+02:00")  # there is no half past two
    assert planned("2027-10-31T02:10+02:00", siesta) == at("2027-10-31T02:30+02:00")  # the first one
    assert siesta.covers(at("2027-10-31T02:10+01:00"))  # and quiet again when they show it again


def test_quiet_hours_that_begin_when_they_end_are_none() -> None:
    assert not quiet(begins=MORNING, ends=MORNING).covers(at("2027-03-10T08:00+01:00"))


def test_the_whole_crowd_that_is_moved_stays_spread_and_out_of_the_quiet_hours() -> None:
    window = Window(at("2027-03-11T03:00+01:00"), at("2027-03-11T23:00+01:00"))
    for how in ("earlier", "later"):
        moments = set()
        for key in range(200):
            found = timing.settled(window, quiet(how), since=LONG_AGO, key=f"Booking:{key}", tolerance=10 * MINUTE)
            assert found and not quiet().covers(found.send_at)
            moments.add(found.send_at)
        assert len(moments) > 100
        assert max(moments) - min(moments) < 10 * MINUTE


@pytest.mark.parametrize(
    ("now", "send_at", "how", "goes_out"),
    [
        ("2027-03-10T15:00+01:00", "2027-03-10T14:00+01:00", "later", "2027-03-10T15:00+01:00"),
        ("2027-03-10T21:02+01:00", "2027-03-10T20:59+01:00", "later", "2027-03-10T21:02+01:00"),  # as good as on time
        ("2027-03-11T02:00+01:00", "2027-03-10T20:00+01:00", "later", "2027-03-11T08:00+01:00"),
        ("2027-03-11T02:00+01:00", "2027-03-10T20:00+01:00", "earlier", "2027-03-11T08:00+01:00"),
        ("2027-03-11T02:00+01:00", "2027-03-10T20:00+01:00", "skip", None),
        ("2027-03-11T02:00+01:00", "2027-03-10T09:30+01:00", "later", None),  # of no use at eight any more
    ],
)
def test_a_message_that_an_outage_would_push_into_the_night(
    now: str, send_at: str, how: str, goes_out: str | None
) -> None:
    useful_until = at(send_at) + 22 * HOUR
    assert timing.out_of_quiet(at(now), at(send_at), useful_until, quiet(how)) == (at(goes_out) if goes_out else None)


def test_without_quiet_hours_a_late_message_goes_out_at_once() -> None:
    now = at("2027-03-11T02:00+01:00")
    assert timing.out_of_quiet(now, now - HOUR, now + HOUR, None) == now


# --- Of the rules that an installation starts with ---


def sends(anchor) -> dict[str, str]:
    """The planned reminders as the customer's clocks show them."""
    zone = ZoneInfo(anchor.customer.time_zone)
    rows = anchor.deliveries.select_related("rule")
    return {row.rule.name.split(" before")[0]: row.reason or f"{row.send_at.astimezone(zone):%d %H:%M}" for row in rows}


@pytest.mark.night
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ("2027-03-27T10:00+01:00", ["26 10:00", "27 09:00", "27 09:45"]),
        ("2027-03-27T08:00+01:00", ["26 08:00", "27 07:00", "27 07:45"]),
        ("2027-03-27T06:30+01:00", ["26 08:00", "26 22:45", "27 06:15"]),
        ("2027-03-27T20:00+01:00", ["26 20:00", "27 19:00", "27 19:45"]),
        ("2027-03-27T22:30+01:00", ["27 08:00", "27 21:30", "27 22:15"]),
        ("2027-03-28T03:00+02:00", ["27 08:00", "27 22:45", "quiet_hours"]),
    ],
)
def test_nobody_is_disturbed_at_three_in_the_morning(day: Day, starts: str, expected: list[str]) -> None:
    assert list(sends(make_booking(alice(), starts=at(starts))).values()) == expected


@pytest.mark.night
@pytest.mark.django_db
def test_it_is_the_customers_night_that_is_quiet_not_the_venues(day: Day) -> None:
    booking = make_booking(bob(), starts=at("2027-03-27T10:00+01:00"))  # five in the morning for him
    assert sends(booking) == {"24 hours": "26 08:00", "1 hour": "26 22:45", "15 minutes": "quiet_hours"}
    payment = make_payment(bob(), due=at("2027-03-29T00:00+02:00").date(), time_zone=BERLIN)
    assert payment.deliveries.get(rule__name="On the day a payment is due").send_at == at("2027-03-29T08:00-04:00")


@pytest.mark.night
@pytest.mark.django_db
def test_planning_again_in_the_night_does_not_move_what_the_evening_planned(day: Day) -> None:
    booking = make_booking(alice(), starts=at("2027-03-26T06:30+01:00"))
    before = sends(booking)
    assert before["1 hour"] == "25 22:45"
    for moment in ("2027-03-25T22:50+01:00", "2027-03-26T02:00+01:00", "2027-03-26T05:31+01:00"):
        day.jumps_to(at(moment))
        assert reminders.plan([booking]).changes == 0
    assert sends(booking) == before


@pytest.mark.night
@pytest.mark.django_db
def test_a_rule_without_quiet_hours_knows_no_night(day: Day) -> None:
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    assert list(sends(make_booking(alice(), starts=at("2027-03-27T03:15+01:00"))).values())[2] == "27 03:00"
