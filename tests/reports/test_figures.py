"""Every figure of a report, on rows made by hand; each has neighbours just outside that must not count."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models import Customer, Payment, ReminderRule
from notifications.reports import effect as effects, figures
from notifications.reports.effect import Cohort
from notifications.reports.figures import Bookings, Paid, Task
from tests.factories import DAY, HOUR
from tests.reports.scene import MONDAY, at, booking, delivery, job, only, over, payment, period, rule

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def hour_before() -> ReminderRule:
    made = rule("an hour before")
    only(made)
    return made


def count(**which: Any) -> figures.Figures:
    return figures.count(period(**which), "")


def by_channel(found: figures.Figures) -> dict[str, figures.Messages]:
    return {one.channel: one for one in found.messages}


def test_what_became_of_messages_by_channel(customer: Customer, hour_before: ReminderRule) -> None:
    def one(**fields: Any) -> None:
        delivery(booking(customer), hour_before, **fields)

    one(outcome="delivered")
    one(outcome="delivered", send_at=at(4, 0, 0) - SECOND)  # due on Monday, sent on Tuesday
    one()
    one(outcome="bounced")
    one(outcome="complained", channel="sms")
    one(outcome="failed", channel="sms")
    one(channel="sms", send_at=at(9, 23, 59), sent_at=at(10, 0) - timedelta(microseconds=1))
    one(state="refused")
    one(state="in_doubt", channel="sms")
    one(state="skipped", reason="cancelled")
    one(state="skipped", reason="cancelled")
    one(state="skipped", reason="too_late")
    one(state="skipped", reason="no_address", channel="webhook")
    one(state="planned")
    for moment in (at(3, 0) - SECOND, at(10, 0)):  # before and after
        one(send_at=moment, sent_at=moment)
        for state in ("refused", "in_doubt", "skipped"):
            one(send_at=moment, state=state)
    found = by_channel(count())
    email, sms = found["email"], found["sms"]
    assert (email.sent, email.delivered, email.returned, email.refused, email.in_doubt) == (4, 2, 1, 1, 0)
    assert email.skipped == {"cancelled": 2, "too_late": 1}
    assert email.by_part == [0, 1, 3, 0, 0, 0, 0]
    assert (sms.sent, sms.delivered, sms.returned, sms.refused, sms.in_doubt) == (3, 0, 2, 0, 1)
    assert sms.by_part == [0, 0, 2, 0, 0, 0, 1] and sms.skipped == {}
    assert found["webhook"].skipped == {"no_address": 1} and found["webhook"].sent == 0
    assert found["inbox"] == figures.Messages(channel="inbox", by_part=[0] * 7)


def test_the_hour_that_comes_twice_is_two(customer: Customer, hour_before: ReminderRule) -> None:
    for hour in (0, 1):  # half past two, before and after the clocks go back
        moment = datetime(2025, 10, 26, hour, 30, tzinfo=UTC)
        delivery(booking(customer), hour_before, send_at=moment, sent_at=moment)
    found = by_channel(count(kind="day", day=date(2025, 10, 26)))
    assert found["email"].by_part == [0, 0, 1, 1, *[0] * 21]


def test_lateness(customer: Customer, hour_before: ReminderRule) -> None:
    for late in range(1, 101):
        delivery(booking(customer), hour_before, sent_at=at(5, 9) + late * SECOND)
    delivery(booking(customer), hour_before, send_at=at(10, 0), sent_at=at(10, 9))  # of next week
    found = count().lateness
    spans = [round(one, 2) for one in (found.p50, found.p95, found.p99, found.worst) if one is not None]
    assert (found.number, spans) == (100, [50, 95, 99, 100])


def test_nothing_at_all() -> None:
    ReminderRule.objects.update(active=False)
    found = count(kind="month")
    assert found.lateness == figures.Lateness(number=0, p50=None, p95=None, p99=None, worst=None)
    assert found.bookings == Bookings() and found.jobs == []
    assert found.paid == Paid(on_time=[0] * 5, late=[0] * 5)
    assert found.effect.all == Cohort() and found.effect.rules == []


def test_what_happened_to_bookings(customer: Customer) -> None:
    inside, before, after = at(3, 0), at(3, 0) - SECOND, at(10, 0)
    for moment, times in ((inside, 3), (before, 1), (after, 1)):
        for _ in range(times):
            booking(customer, created_at=moment, made_at=moment)
            booking(customer, moved_at=moment, revision=2)
    for moment in (inside, before):
        booking(customer, created_at=moment, made_at=None)
    for status, times in (("cancelled", 4), ("completed", 2), ("no_show", 1)):
        for _ in range(times):
            over(customer, status)
        over(customer, status, closed_at=before)
        over(customer, status, closed_at=after)
    found = count().bookings
    assert found == Bookings(made=3, imported=1, moved=3, cancelled=4, completed=2, no_show=1)


def test_the_effect_of_a_rule(customer: Customer, hour_before: ReminderRule) -> None:
    def reminded(status: str, *, confirmed: bool = False, **fields: Any) -> None:
        delivery(over(customer, status, confirmed=confirmed), hour_before, **fields)

    reminded("completed", confirmed=True)
    reminded("completed")
    reminded("completed")
    reminded("no_show", confirmed=True)
    over(customer, "completed")
    over(customer, "no_show", confirmed=True)
    reminded("no_show", state="skipped", reason="opted_out")  # not reminded
    reminded("no_show", state="in_doubt")
    reminded("completed", revision=7)  # of another time
    reminded("completed", sent_at=at(5, 10, 1))  # it had begun
    delivery(over(customer, "cancelled"), hour_before)  # nobody could come
    delivery(over(customer, "no_show", closed_at=at(10, 0)), hour_before)  # next week's
    found = count().effect
    assert found.all == Cohort(bookings=10, no_show=4, confirmed=3)
    (row,) = found.rules
    assert row.rule == "an hour before"
    assert row.reminded == Cohort(bookings=4, no_show=1, confirmed=2)
    assert row.others == Cohort(bookings=6, no_show=3, confirmed=1)


def test_a_booking_that_was_reminded_by_two_channels_counts_once(customer: Customer, hour_before: ReminderRule) -> None:
    missed = over(customer, "no_show")
    delivery(missed, hour_before)
    delivery(missed, hour_before, channel="sms")
    delivery(missed, rule("a day before", offset=-DAY))
    found = count().effect
    assert [(one.rule, one.reminded.bookings, one.others.bookings) for one in found.rules] == [
        ("a day before", 1, 0),
        ("an hour before", 1, 0),
    ]


def test_rules_that_could_have_reminded_are_told_and_others_are_not(customer: Customer) -> None:
    unused, gone = rule("unused", offset=-2 * HOUR), rule("switched off, but used", offset=-HOUR)
    after, told = rule("after it", offset=HOUR), rule("on its morning", offset=timedelta(), at_time="08:00")
    only(unused, after, told)
    delivery(over(customer, "completed"), gone)
    rows = [(one.rule, one.reminded.bookings, one.others.bookings) for one in count().effect.rules]
    assert rows == [("unused", 0, 1), ("switched off, but used", 1, 0), ("on its morning", 0, 1)]


def test_of_very_many_rules_those_that_reminded_most(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "MOST_RULES", 1)
    often, seldom = rule("often", offset=-2 * HOUR), rule("seldom")
    only(often, seldom)
    for _ in range(2):
        delivery(over(customer, "completed"), often)
    delivery(over(customer, "completed"), seldom)
    found = count().effect
    assert ([one.rule for one in found.rules], found.left_out) == (["often"], 1)


def test_payments_by_time_and_number_of_reminders(customer: Customer) -> None:
    dunning = rule("payment", anchor="payment_due", offset=timedelta())

    def paid(due_on: date, closed_at: datetime, reminders: int = 0, **fields: Any) -> Payment:
        made = payment(customer, due_on=due_on, closed_at=closed_at, **fields)
        for number in range(reminders):
            delivery(made, dunning, occurrence=number, send_at=at(1, 9))
        return made

    paid(date(2025, 11, 4), at(4, 23, 59))  # in the last minute of its day
    paid(date(2025, 11, 4), at(5, 0, 0))  # a minute later
    paid(date(2025, 11, 4), at(5, 5), time_zone="America/New_York")  # there it is still the 4th
    paid(date(2025, 11, 20), at(4), reminders=2)
    paid(date(2025, 10, 1), at(4), reminders=2, status="refunded")
    paid(date(2025, 10, 1), at(4), reminders=4)
    paid(date(2025, 10, 1), at(4), reminders=7)
    once = paid(date(2025, 11, 20), at(4), reminders=1)
    delivery(once, dunning, occurrence=9, send_at=at(4, 13))  # after it was paid
    delivery(once, dunning, occurrence=8, state="planned")
    within_digest = paid(date(2025, 11, 20), at(4))
    digest = delivery(paid(date(2025, 11, 20), at(20)), dunning, send_at=at(3, 9))
    delivery(within_digest, dunning, state="skipped", reason="in_digest", digest=digest)
    paid(date(2025, 11, 20), at(3, 0) - SECOND)
    paid(date(2025, 11, 20), at(10, 0))
    payment(customer, due_on=MONDAY, closed_at=at(4), status="written_off")
    payment(customer, due_on=MONDAY, closed_at=None)
    assert count().paid == Paid(on_time=[2, 2, 1, 0, 0], late=[1, 0, 1, 0, 2])


def test_jobs_by_task() -> None:
    job("a.task", "succeeded", finished_at=at(4))
    job("a.task", "succeeded", finished_at=at(4), failures=1)
    job("a.task", "cancelled", finished_at=at(4), failures=2)
    job("b.task", "failed", finished_at=at(4), failures=1)
    job("b.task", "failed", finished_at=at(4), failures=3)
    job("b.task", "expired", finished_at=at(4))
    job("c.task", "succeeded", finished_at=at(3, 0) - SECOND)
    job("c.task", "failed", finished_at=at(10, 0))
    assert count().jobs == [
        Task(task="b.task", failed=2, expired=1, retried=1),
        Task(task="a.task", succeeded=2, cancelled=1, retried=2),
    ]


def scene_of(customer: Customer, one: ReminderRule) -> None:
    delivery(over(customer, "no_show", confirmed=True, created_at=at(4), moved_at=at(4)), one)
    delivery(booking(customer), one, state="refused")
    payment(customer, due_on=MONDAY, closed_at=at(4))
    job("a.task", "failed", finished_at=at(4), failures=1, tenant=customer.tenant)


def test_a_tenant_is_counted_alone_and_all_of_them_together() -> None:
    shared, own = rule("of all"), rule("of a alone", tenant="a", offset=-2 * HOUR)
    only(shared, own)
    for tenant in ("a", "b", "b"):
        scene_of(Customer.objects.create(name="Carla", email="c@example.com", tenant=tenant), shared)
    delivery(over(Customer.objects.create(name="Carla", tenant="a"), "completed"), own)
    of_a, of_b, of_all = (figures.count(period(), tenant) for tenant in ("a", "b", ""))
    numbers = [
        (
            by_channel(one)["email"].sent,
            by_channel(one)["email"].refused,
            one.lateness.number,
            one.bookings.made + one.bookings.moved,
            one.bookings.no_show,
            one.effect.all.bookings,
            sum(one.paid.late),
            sum(task.failed for task in one.jobs),
        )
        for one in (of_a, of_b, of_all)
    ]
    assert numbers == [(2, 1, 2, 2, 1, 2, 1, 1), (2, 2, 2, 4, 2, 2, 2, 2), (4, 3, 4, 6, 3, 4, 3, 3)]
    rules = [
        [(row.rule, row.reminded.bookings, row.others.bookings) for row in one.effect.rules]
        for one in (of_a, of_b, of_all)
    ]
    assert rules == [
        [("of a alone", 1, 1), ("of all", 1, 1)],
        [("of all", 2, 0)],
        [("of a alone", 1, 1), ("of all", 3, 1)],  # whoever is of b is none whom the rule of a left out
    ]


def test_the_number_of_statements_does_not_depend_on_the_rows(customer: Customer, hour_before: ReminderRule) -> None:
    numbers = []
    for _ in range(2):
        for _ in range(3):
            scene_of(customer, hour_before)
        with CaptureQueriesContext(connection) as queries:
            count(kind="month")
        numbers.append(len([one for one in queries if "SELECT" in one["sql"]]))
    assert numbers == [11, 11]
