"""Messages to many: everybody once, by the way they prefer, or a reason why not."""

from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, bulk, reconciler
from notifications.models import Booking, BulkChange, Customer, Delivery, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.writing_to_many import booked, kept, messages, start, words

pytestmark = pytest.mark.django_db


def test_everybody_is_written_to_by_the_channel_they_prefer(worker: InProcessWorker, providers: Providers) -> None:
    booked(alice(phone="+4915112345678", channels=["sms", "email"]))
    booked(bob(phone="+4915112345679"))
    booked(Customer.objects.create(name="Carol"))
    make_booking(alice(name="Dora", email="dora@example.com"), location="Elsewhere")
    change = start()
    worker.drain()
    assert messages(change) == {
        "Alice Ähre": ("sms", "sent", ""),
        "Bob": ("email", "sent", ""),
        "Carol": ("email", "skipped", "no_address"),
    }
    assert providers["sms"].taken[0][1].startswith("Alice Ähre: Haircut on")
    change.refresh_from_db()
    assert change.counts == {"written to": 3, "messages planned": 2, "no message: no_address": 1}
    assert change.finished_at and (change.done, change.total) == (3, 3)
    assert set(Booking.objects.values_list("status", flat=True)) == {"booked"}
    assert kept() == set()


def test_a_message_has_a_job_of_its_own_that_does_not_make_reminders_late(worker: InProcessWorker) -> None:
    booked(alice())
    soon = booked(bob(), starts=90 * MINUTE)
    change = start()
    worker.run_due()
    jobs = {one.booking_id: Job.objects.get(pk=one.pk) for one in Delivery.objects.filter(bulk=change)}
    assert [job.task for job in jobs.values()] == ["notifications.deliver"] * 2
    reminder = Job.objects.filter(task="notifications.deliver").exclude(pk__in=[j.pk for j in jobs.values()])
    assert min(reminder.values_list("priority", flat=True)) > min(job.priority for job in jobs.values())
    assert jobs[soon.pk].priority >= 10  # what is soon of no use is not put last


def test_resumed_after_a_killed_worker_it_writes_nobody_twice(
    worker: InProcessWorker, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    for number in range(5):
        booked(bob(name=f"B{number}", email=f"b{number}@example.com"))
    change = start()
    real, calls = bulk._make, []

    def dies_in_the_second_chunk(*args: Any) -> Any:
        calls.append(args)
        counts = real(*args)
        if len(calls) == 2:
            raise OperationalError("the worker was killed")
        return counts

    with monkeypatch.context() as patched, pytest.raises(OperationalError):
        patched.setattr(bulk, "_make", dies_in_the_second_chunk)
        for _ in range(5):
            bulk._chunk(change.pk)
    assert Delivery.objects.filter(bulk=change).count() == 2
    worker.drain()
    assert len(providers["email"].taken) == 5 == len(set(providers["email"].keys))
    assert sorted(messages(change)) == ["B0", "B1", "B2", "B3", "B4"]


def test_a_job_that_forgot_how_far_it_came_writes_nobody_twice(worker: InProcessWorker, providers: Providers) -> None:
    booked(bob(phone="+4915112345679"))
    change = start()
    worker.drain()
    BulkChange.objects.filter(pk=change.pk).update(after=0, done=0, finished_at=None)
    Customer.objects.update(channels=["sms"])  # now it would go by another channel: the constraint knows no channels
    bulk._chunk(change.pk)
    worker.drain()
    assert (len(providers["email"].taken), len(providers["sms"].taken)) == (1, 0)
    assert Delivery.objects.filter(bulk=change).count() == 1


def test_the_database_forbids_a_second_message_about_a_booking(worker: InProcessWorker) -> None:
    booking = booked(alice())
    change = start()
    worker.run_due()
    first = Delivery.objects.get(bulk=change)
    same = {f.attname: getattr(first, f.attname) for f in Delivery._meta.concrete_fields if f.name != "id"}
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(**same | {"channel": "sms", "revision": booking.revision + 1})


def test_cancelled_and_told_in_one(worker: InProcessWorker, providers: Providers) -> None:
    ReminderRule.objects.filter(anchor="booking_cancelled").update(active=True, channels=["email"])
    booking = booked(alice())
    change = start("cancel")
    worker.drain()
    booking.refresh_from_db()
    assert booking.status == "cancelled"
    assert messages(change) == {"Alice Ähre": ("email", "sent", "")}
    assert len(providers["email"].taken) == 1  # not the notice as well
    notice = Delivery.objects.get(rule__anchor="booking_cancelled")
    assert (notice.state, notice.reason) == ("skipped", "superseded")
    assert kept() == set()


def test_without_a_message_the_notice_of_a_cancelled_booking_goes_out(
    worker: InProcessWorker, providers: Providers
) -> None:
    ReminderRule.objects.filter(anchor="booking_cancelled").update(active=True, channels=["email"])
    booked(alice())
    start("cancel", message=None)
    worker.drain()
    assert "does not take place" in providers["email"].taken[0][1] and len(providers["email"].taken) == 1


def test_moved_and_told_in_one_says_the_new_time(worker: InProcessWorker, providers: Providers) -> None:
    ReminderRule.objects.filter(anchor="booking_moved").update(active=True, channels=["email"])
    booking = booked(alice())
    start("move", days=7, message=words(text="Now {{ starts }}"))
    worker.drain()
    booking.refresh_from_db()
    assert len(providers["email"].taken) == 1
    assert f"{booking.local_start:%Y}" in providers["email"].taken[0][1]
    assert str(booking.local_start.day) in providers["email"].taken[0][1]


def test_what_came_too_late_is_not_sent_unless_said_otherwise(worker: InProcessWorker, providers: Providers) -> None:
    booking = booked(alice())
    begun = timezone.now() - HOUR
    Booking.objects.filter(pk=booking.pk).update(starts_at=begun, ends_at=begun + 2 * HOUR)
    change, other = start(), start(message=words(useful_for=DAY, text="You left your umbrella"))
    worker.drain()
    assert messages(change) == {"Alice Ähre": ("email", "skipped", "too_late")}
    assert messages(other) == {"Alice Ähre": ("email", "sent", "")}


def test_two_messages_to_many_both_arrive_however_late(worker: InProcessWorker, providers: Providers) -> None:
    booked(alice())
    changes = [start(), start(message=words(text="And bring your card"))]
    worker.run_due()
    for number, change in enumerate(changes):  # an outage of an hour: the second is later by minutes
        Delivery.objects.filter(bulk=change).update(send_at=timezone.now() - HOUR + number * 10 * MINUTE)
    worker.drain()
    assert [messages(change)["Alice Ähre"][1] for change in changes] == ["sent", "sent"]


def test_at_night_by_the_customers_clocks_it_waits_for_the_morning(worker: InProcessWorker) -> None:
    local = timezone.now().astimezone()
    booked(alice(time_zone="UTC"), starts=3 * DAY)
    begins, ends = (timezone.now() - HOUR).time(), (timezone.now() + HOUR).time()
    change = start(message=words(quiet_from=begins, quiet_until=ends))
    worker.run_due()
    delivery = Delivery.objects.get(bulk=change)
    assert delivery.state == "planned" and delivery.send_at > local + 50 * MINUTE


def test_reconcile_leaves_messages_to_many_alone(worker: InProcessWorker) -> None:
    booked(alice())
    change = start()
    worker.run_due()
    assert sum(done.changes for done in reconciler.reconcile()) == 0
    assert messages(change) == {"Alice Ähre": ("email", "planned", "")}


@pytest.mark.parametrize("kind", ["message", "cancel", "move"])
def test_a_chunk_of_a_thousand_costs_the_statements_of_a_small_one(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 1_000)
    ReminderRule.objects.filter(anchor__startswith="booking").update(channels=["email"])
    needed: list[int] = []
    for number in (20, 1_000):
        start_at = timezone.now() + 2 * DAY
        people = Customer.objects.bulk_create(Customer(name=f"C{n}", email=f"c{n}@example.com") for n in range(number))
        when = bookings.schedule(start_at, start_at + HOUR, "Europe/Berlin")
        Booking.objects.bulk_create(Booking(customer=one, service="Cut", location="Clinic", **when) for one in people)
        change = start(kind, **({"days": 1} if kind == "move" else {}))
        with CaptureQueriesContext(connection) as captured:
            assert bulk._chunk(change.pk)[0].done == number
        asked_for = [query["sql"] for query in captured if not query["sql"].startswith("INSERT")]
        needed.append(len(asked_for))
        # SQLite takes 999 values in one INSERT: 28 jobs. Of a moved booking there are four, four deliveries and itself
        assert len(captured) - len(asked_for) <= 3 + (number * 9 // 28 if connection.vendor == "sqlite" else 24)
        assert Delivery.objects.filter(bulk=change, state="planned").count() == number
        Booking.objects.update(location="Elsewhere")
    assert needed[1] <= needed[0] + 24, needed  # deliveries and jobs go in parts of 500
