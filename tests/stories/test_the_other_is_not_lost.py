"""A reminder gave way to a more relevant one that the customer, as is known only later, does not have."""

from datetime import UTC, datetime, time
from typing import Any

import pytest

from jobs.models import Job
from notifications import bookings, crowding, doubts, outcomes, reconciler, reminders
from notifications.channels.base import Unknown
from notifications.models import Booking, Delivery, ReminderRule, RuleOverride
from tests.factories import MINUTE, alice, make_payment
from tests.notifications.providers import Providers, providers as providers
from tests.races import elsewhere, needs_postgresql, until_it_waits
from tests.stories.conftest import Day
from tests.stories.test_one_morning import (
    EIGHT,
    NEAREST,
    OTHER_GOES,
    _the_day_before as _the_day_before,
    at_eight,
    at_eight_past,
    of_that_morning,
    ten_past_eight,
)

pytestmark = pytest.mark.django_db


def nearest_by(*channels: str) -> None:
    ReminderRule.objects.filter(name__startswith="15").update(channels=list(channels))


def told(day: Day) -> tuple[Booking, Delivery]:
    """The nearest went, as far as is known, and the other gave way."""
    booking = ten_past_eight(phone="+493012345678")
    assert at_eight(day, booking) == NEAREST
    return booking, of_that_morning(booking)["15 minutes"]


def did_not_arrive(delivery: Delivery) -> None:
    assert outcomes.did_not_arrive(delivery.pk, "failed", reminders.job_for)


def test_its_next_channel_did_not_go_either(day: Day, providers: Providers) -> None:
    nearest_by("sms", "inbox")
    booking, nearest = told(day)
    did_not_arrive(nearest)
    (following,) = nearest.fallbacks.all()
    reconciler.withdraw([following.pk], "olga")
    day.goes_on_until(EIGHT + 4 * MINUTE, step=MINUTE / 4)
    assert booking.deliveries.get(rule__name__startswith="1 hour").state == "sent"
    assert providers["inbox"].taken == []


def test_its_next_channel_goes_and_the_other_still_does_not(day: Day, providers: Providers) -> None:
    nearest_by("sms", "inbox")
    booking, nearest = told(day)
    did_not_arrive(nearest)
    day.goes_on_until(EIGHT + 4 * MINUTE, step=MINUTE / 4)
    other = booking.deliveries.get(rule__name__startswith="1 hour")
    assert (other.state, other.reason) == ("skipped", "superseded")
    assert len(providers["inbox"].taken) == 1


def test_its_rule_was_switched_off_since(day: Day, providers: Providers) -> None:
    nearest_by("sms")
    booking, nearest = told(day)
    ReminderRule.objects.filter(pk=nearest.rule_id).update(active=False)
    did_not_arrive(nearest)
    assert at_eight_past(day, booking)["1 hour"] == ("sent", "")


def test_an_attempt_given_up_for_dead_tells_that_it_was_busy(day: Day, providers: Providers) -> None:
    nearest_by("sms")
    providers["sms"].answers = [Unknown("timeout")]
    booking = ten_past_eight(phone="+493012345678")
    assert at_eight(day, booking) == NEAREST | {"15 minutes": ("in_doubt", "")}
    nearest = of_that_morning(booking)["15 minutes"]
    outcomes.Intent(nearest, nearest.token or 0, reminders.job_for).put_back("451")
    reconciler.withdraw([nearest.pk], "olga")
    assert at_eight_past(day, booking) == OTHER_GOES | {"15 minutes": ("skipped", "job_cancelled")}


def test_nothing_comes_back_of_a_booking_that_was_cancelled_since(day: Day, providers: Providers) -> None:
    nearest_by("sms")
    providers["sms"].answers = [Unknown("timeout")]
    booking = ten_past_eight(phone="+493012345678")
    assert at_eight(day, booking)["1 hour"] == ("skipped", "superseded")
    bookings.cancel(booking)
    doubts.resolve([of_that_morning(booking)["15 minutes"].pk], "not_sent", "olga", "no trace of it")
    day.goes_on_until(EIGHT + 4 * MINUTE, step=MINUTE / 4)
    fates = {name: (row.state, row.reason) for name, row in of_that_morning(booking).items()}
    assert fates == NEAREST | {"15 minutes": ("refused", "")}


# --- A rule that is off, or off for most ---


def test_a_rule_that_is_on_for_them_alone_counts_as_well(day: Day) -> None:
    booking = ten_past_eight()
    nearest = ReminderRule.objects.get(name__startswith="15")
    RuleOverride.objects.create(rule=nearest, customer=booking.customer, active=True)
    ReminderRule.objects.filter(pk=nearest.pk).update(active=False)
    assert at_eight(day, booking) == NEAREST


def test_a_rule_that_is_off_and_not_yet_planned_anew_silences_nothing(day: Day) -> None:
    booking = ten_past_eight()
    ReminderRule.objects.filter(name__startswith="15").update(active=False)
    assert at_eight(day, booking) == OTHER_GOES | {"15 minutes": ("skipped", "rule_off")}


def test_what_went_before_its_rule_was_switched_off_is_known_all_the_same(day: Day) -> None:
    booking = ten_past_eight()
    first, last = of_that_morning(booking)["15 minutes"], of_that_morning(booking)["1 hour"]
    Job.objects.filter(pk=last.pk).update(run_at=EIGHT + MINUTE)
    Job.objects.filter(pk=first.pk).update(priority=9)
    day.goes_on_until(EIGHT + MINUTE / 4, step=MINUTE / 4)
    ReminderRule.objects.filter(name__startswith="15").update(active=False)
    assert at_eight(day, booking) == NEAREST


# --- Within a digest ---


def bills(day: Day, *, together: bool = True) -> tuple[Delivery, list[Delivery]]:
    """Of each of two bills one reminder in a digest, and one that gave way to it. Returns the lead and those, which
    would go as a digest `together`, or each alone.
    """
    ReminderRule.objects.filter(anchor="payment_due").delete()
    night = {"quiet_from": time(21), "quiet_until": time(8), "message": "payment_upcoming", "offset": 0 * MINUTE}
    for at, digest in ((time(2, 30), together), (time(7, 30), True)):
        ReminderRule.objects.create(name=f"{at}", anchor="payment_due", at_time=at, digest=digest, **night)
    customer = alice()
    for number in range(2):
        make_payment(customer, due=EIGHT.date(), subject=f"Bill {number}")
    day.goes_on_until(EIGHT + 2 * MINUTE, step=MINUTE / 4)
    late = list(Delivery.objects.filter(rule__name="02:30:00").order_by("pk"))
    assert [(row.state, row.reason) for row in late] == [("skipped", "superseded")] * 2
    return Delivery.objects.get(rule__name="07:30:00", digest=None), late


def states(rows: list[Delivery]) -> list[tuple[str, str]]:
    return sorted(Delivery.objects.filter(pk__in=[row.pk for row in rows]).values_list("state", "reason"))


@pytest.mark.parametrize("together", [True, False])
def test_it_went_along_in_a_digest_that_did_not_arrive(day: Day, providers: Providers, together: bool) -> None:
    lead, late = bills(day, together=together)
    did_not_arrive(lead)
    day.goes_on_until(EIGHT + 4 * MINUTE, step=MINUTE / 4)
    assert states(late) == [("sent", ""), ("skipped", "in_digest") if together else ("sent", "")]


def test_it_went_along_in_a_digest_of_which_is_known_later_that_it_was_not_taken(
    day: Day, providers: Providers
) -> None:
    providers["email"].answers = [Unknown("timeout")]
    lead, late = bills(day)
    (part,) = lead.contains.all()
    doubts.resolve([lead.pk], "not_sent", "olga", "no trace of it")
    reconciler.withdraw([part.pk], "olga")
    day.goes_on_until(EIGHT + 4 * MINUTE, step=MINUTE / 4)
    assert states(late) == [("sent", ""), ("skipped", "in_digest")]


# --- At the same moment ---


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_that_it_did_not_arrive_is_told_while_the_other_gives_way(providers: Providers, monkeypatch: Any) -> None:
    """The other has seen that it was sent, and has not written yet that it gives way."""
    nearest_by("sms")
    booking = ten_past_eight(phone="+493012345678")
    rows, began = of_that_morning(booking), []
    Delivery.objects.filter(pk=rows["15 minutes"].pk).update(state="sent", sent_at=datetime.now(UTC))
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    past = datetime.now(UTC) - 5 * MINUTE
    booking.deliveries.update(send_at=past)
    look = crowding.told_instead

    def meanwhile(delivery: Delivery) -> Delivery | None:
        found = look(delivery)
        began.append(elsewhere(lambda: did_not_arrive(rows["15 minutes"])))
        future, process = began[0].__enter__()
        until_it_waits(future, process)
        return found

    monkeypatch.setattr(crowding, "told_instead", meanwhile)
    assert outcomes.gave_way(Delivery.objects.get(pk=rows["1 hour"].pk), reminders.job_for) == "skipped"
    began[0].__exit__(None, None, None)
    assert of_that_morning(booking)["1 hour"].state == "planned"
