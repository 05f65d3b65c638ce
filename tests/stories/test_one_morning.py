"""Quiet hours that move several reminders of one booking to one moment: the nearest to the start goes, alone."""

from datetime import UTC, datetime, time
from typing import Any

import pytest

from jobs.models import Job
from notifications import bookings, outcomes, reconciler, reminders
from notifications.channels.base import Busy, Refused
from notifications.models import Booking, Consent, Delivery, ReminderRule, RuleOverride
from notifications.why import asked, why
from tests.factories import HOUR, MINUTE, alice, make_booking, make_payment
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


def of_that_morning(booking: Booking) -> dict[str, Delivery]:
    rows = booking.deliveries.exclude(rule__name__startswith="24").select_related("rule").order_by("pk")
    return {row.rule.name.split(" before")[0]: row for row in rows}


def at_eight(day: Day, booking: Booking) -> dict[str, tuple[str, str]]:
    """What became of the two reminders of that morning."""
    assert {row.send_at.replace(microsecond=0, second=0) for row in of_that_morning(booking).values()} == {EIGHT}
    day.goes_on_until(EIGHT + 2 * MINUTE, step=MINUTE / 4)
    return {name: (row.state, row.reason) for name, row in of_that_morning(booking).items()}


NEAREST = {"1 hour": ("skipped", "superseded"), "15 minutes": ("sent", "")}


def test_only_the_most_relevant_of_them_goes_and_the_other_says_so(day: Day) -> None:
    booking = ten_past_eight()
    assert at_eight(day, booking) == NEAREST
    (told,) = [answer.text for answer in why(asked(Booking).get()) if answer.reason == "superseded"]
    assert told == "skipped: a more relevant message went out instead (15 minutes before a booking)"


def test_however_their_tolerances_spread_them(day: Day) -> None:
    ReminderRule.objects.filter(name__startswith="1 hour").update(tolerance=MINUTE)
    assert at_eight(day, ten_past_eight()) == NEAREST


def test_also_where_only_one_of_them_was_moved(day: Day) -> None:
    assert at_eight(day, make_booking(alice(), starts=EIGHT + 15 * MINUTE)) == NEAREST


def test_also_where_they_were_moved_to_the_evening_before(day: Day) -> None:
    ReminderRule.objects.update(quiet="earlier")
    booking = ten_past_eight()
    (evening,) = {row.send_at for row in of_that_morning(booking).values()}
    assert evening == datetime(2027, 3, 10, 19, 45, tzinfo=UTC)
    day.goes_on_until(evening + 2 * MINUTE)
    assert {name: (row.state, row.reason) for name, row in of_that_morning(booking).items()} == NEAREST


def test_by_whatever_channel_there_is_one_message_about_a_booking(day: Day) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=["sms"])
    assert at_eight(day, ten_past_eight(phone="+493012345678")) == NEAREST


def test_two_rules_for_one_time_both_go(day: Day) -> None:
    hour = ReminderRule.objects.get(name__startswith="1 hour")
    ReminderRule.objects.filter(name__startswith="15").update(offset=hour.offset)
    assert at_eight(day, ten_past_eight()) == {"1 hour": ("sent", ""), "15 minutes": ("sent", "")}


def test_a_booking_that_is_moved_to_later_has_both_again(day: Day) -> None:
    booking = ten_past_eight()
    day.goes_on_until(EIGHT - HOUR)
    bookings.reschedule(booking, starts_at=EIGHT + 3 * HOUR, ends_at=EIGHT + 4 * HOUR)
    day.goes_on_until(EIGHT + 3 * HOUR)
    sent = booking.deliveries.filter(state="sent", revision=2)
    assert sorted(sent.values_list("rule__name", flat=True)) == [
        "1 hour before a booking",
        "15 minutes before a booking",
    ]


def test_which_of_them_is_the_nearest_is_what_the_rules_say_for_this_customer(day: Day) -> None:
    booking = ten_past_eight()
    nearest = ReminderRule.objects.get(name__startswith="15")
    RuleOverride.objects.create(rule=nearest, customer=booking.customer, offset=-2 * HOUR)
    assert sum(plan.changes for plan in reconciler.reconcile()) == 1
    assert sum(plan.changes for plan in reconciler.reconcile()) == 0
    assert at_eight(day, booking) == {"1 hour": ("sent", ""), "15 minutes": ("skipped", "superseded")}


def test_what_was_planned_before_it_was_known_where_it_was_moved_from_is_planned_anew_once(day: Day) -> None:
    booking = ten_past_eight()
    booking.deliveries.update(moved_from=None)
    assert sum(plan.changes for plan in reconciler.reconcile()) == 2
    assert at_eight(day, booking) == NEAREST


# --- The other is not lost ---

OTHER_GOES = {"1 hour": ("sent", "")}


def test_one_gives_way_only_to_one_that_goes(day: Day) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=["sms"])
    booking = ten_past_eight(phone="+493012345678")
    Consent.objects.create(customer=booking.customer, channel="sms", granted=False)
    assert at_eight(day, booking) == OTHER_GOES | {"15 minutes": ("skipped", "opted_out")}


@pytest.mark.parametrize("first", ["1 hour", "15 minutes"])
def test_nor_to_one_that_is_refused_whichever_is_looked_at_first(day: Day, providers: Providers, first: str) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=["sms"])
    providers["sms"].answers = [Refused("no such number")]
    booking = ten_past_eight(phone="+493012345678")
    Job.objects.filter(pk=of_that_morning(booking)[first].pk).update(priority=9)
    assert at_eight(day, booking) == OTHER_GOES | {"15 minutes": ("refused", "")}


def test_nor_to_one_that_its_provider_never_brought(day: Day, providers: Providers) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=["sms"])
    booking = ten_past_eight(phone="+493012345678")
    assert at_eight(day, booking) == NEAREST
    nearest = of_that_morning(booking)["15 minutes"]
    assert outcomes.did_not_arrive(nearest.pk, "failed", reminders.job_for)
    assert at_eight_past(day, booking) == OTHER_GOES | {"15 minutes": ("sent", "")}


def at_eight_past(day: Day, booking: Booking) -> dict[str, tuple[str, str]]:
    day.goes_on_until(EIGHT + 4 * MINUTE, step=MINUTE / 4)
    return {name: (row.state, row.reason) for name, row in of_that_morning(booking).items()}


def test_nor_to_one_that_a_person_withdraws_while_its_provider_is_busy(day: Day, providers: Providers) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=["sms"])
    providers["sms"].answers = [Busy("later", retry_after=5 * MINUTE)]
    booking = ten_past_eight(phone="+493012345678")
    assert at_eight(day, booking) == {"1 hour": ("planned", ""), "15 minutes": ("planned", "")}
    reconciler.withdraw([of_that_morning(booking)["15 minutes"].pk], "olga")
    assert at_eight_past(day, booking) == OTHER_GOES | {"15 minutes": ("skipped", "job_cancelled")}


# --- Another channel of the same ---


def test_the_next_channel_of_the_nearest_goes_and_that_of_the_other_does_not(day: Day, providers: Providers) -> None:
    ReminderRule.objects.filter(anchor="booking_start").update(channels=["email", "sms"])
    booking = ten_past_eight(phone="+493012345678")
    day.goes_on_until(EIGHT - HOUR)
    providers["email"].answers = [Refused("550")]
    day.goes_on_until(EIGHT + 2 * MINUTE, step=MINUTE / 4)
    rows = booking.deliveries.exclude(rule__name__startswith="24").order_by("rule__offset", "channel")
    fates = [(row.channel, row.state, row.reason) for row in rows]
    assert sorted(fates) == [("email", "refused", ""), ("email", "skipped", "superseded"), ("sms", "sent", "")]


def test_a_digest_says_of_each_bill_what_was_meant_for_last(day: Day, providers: Providers) -> None:
    ReminderRule.objects.filter(anchor="payment_due").delete()
    night = {"quiet_from": time(21), "quiet_until": time(8), "digest": True, "message": "payment_upcoming"}
    for at in (time(7, 30), time(2, 30)):
        ReminderRule.objects.create(name=f"{at}", anchor="payment_due", offset=0 * MINUTE, at_time=at, **night)
    customer = alice()
    for number in range(2):
        payment = make_payment(customer, due=EIGHT.date(), subject=f"Bill {number}")
        rows = payment.deliveries.order_by("pk")
        for row, moved_from in zip(rows, (EIGHT - MINUTE, EIGHT - HOUR), strict=True):  # the last has the lower id
            Delivery.objects.filter(pk=row.pk).update(moved_from=moved_from)
    day.goes_on_until(EIGHT + 2 * MINUTE, step=MINUTE / 4)
    fates = Delivery.objects.filter(payment__isnull=False).values_list("moved_from", "state", "reason")
    assert sorted(fates) == [
        *[(EIGHT - HOUR, "skipped", "superseded")] * 2,
        (EIGHT - MINUTE, "sent", ""),
        (EIGHT - MINUTE, "skipped", "in_digest"),
    ]
    assert len(providers["email"].taken) == 1


def test_without_quiet_hours_what_somebody_has_made_due_at_once_all_goes(day: Day) -> None:
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    booking = ten_past_eight()
    booking.deliveries.update(send_at=datetime.now(UTC), moved_from=None)
    Job.objects.update(run_at=datetime.now(UTC))
    day.goes_on_until(datetime.now(UTC) + MINUTE)
    assert set(booking.deliveries.values_list("state", flat=True)) == {"sent"}
