"""The clinic is closed tomorrow: one change to everything that matches, once each, whatever happens meanwhile."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from pydantic import ValidationError

from jobs.models import Job
from notifications import bookings, bulk
from notifications.models import Booking, BulkChange, Channel, Customer, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, bob, make_booking
from tests.virtual import virtual_time

pytestmark = pytest.mark.django_db

TOMORROW = date(2027, 3, 27)  # the clocks of Berlin go forward in the night after


@pytest.fixture(autouse=True)
def then() -> Iterator[Any]:
    """Whenever this runs: four days before."""
    with virtual_time(datetime(2027, 3, 23, 12, tzinfo=UTC)) as clock:
        yield clock


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def clinic() -> list[Booking]:
    """Four bookings tomorrow, of which one is cancelled, one the day after, one elsewhere."""
    customer = alice()
    days = ["2027-03-27T09:00+01:00", "2027-03-27T10:00+01:00", "2027-03-27T11:00+01:00", "2027-03-27T12:00+01:00"]
    made = [make_booking(customer, starts=at(day), location="Clinic") for day in days]
    bookings.cancel(made[3])
    made.append(make_booking(bob(), starts=at("2027-03-28T09:00+02:00"), location="Clinic"))
    made.append(make_booking(customer, starts=at("2027-03-27T09:00+01:00"), location="Elsewhere"))
    return made


def tomorrow() -> bulk.Selection:
    return bulk.Selection(on=TOMORROW, location="Clinic")


def statuses(made: list[Booking]) -> list[str]:
    return [Booking.objects.get(pk=booking.pk).status for booking in made]


def test_the_preview_counts_and_changes_nothing(clinic: list[Booking], django_assert_num_queries: Any) -> None:
    before = list(Booking.objects.order_by("pk").values())
    with django_assert_num_queries(4):
        seen = bulk.preview(tomorrow())
    assert (seen.bookings, seen.customers, seen.reminders) == (3, 1, {"planned": 9})
    assert seen.first == at("2027-03-27T09:00+01:00") and seen.last == at("2027-03-27T11:00+01:00")
    assert list(Booking.objects.order_by("pk").values()) == before


def test_the_clinic_is_closed_tomorrow(clinic: list[Booking], worker: InProcessWorker) -> None:
    change = bulk.start(bulk.Kind.CANCEL, tomorrow(), reason="burst pipe", actor="olga")
    assert statuses(clinic)[:3] == ["booked"] * 3  # the web request waits for nothing
    worker.run_due()
    assert statuses(clinic) == ["cancelled"] * 4 + ["booked"] * 2
    change.refresh_from_db()
    assert (change.total, change.done, change.finished_at is not None) == (3, 3, True)
    assert change.counts == {"cancelled": 3, "reminders withdrawn": 9}
    assert set(clinic[0].deliveries.values_list("state", "reason")) == {("skipped", "cancelled")}
    assert Job.objects.get(task="notifications.bulk").progress == {"done": 3, "total": 3, "note": ""}


def test_a_move_keeps_the_time_on_the_wall_though_the_clocks_change(
    clinic: list[Booking], worker: InProcessWorker
) -> None:
    bookings.confirm(clinic[0])
    change = bulk.start(bulk.Kind.MOVE, tomorrow(), days=1, reason="burst pipe", actor="olga")
    worker.run_due()
    moved = Booking.objects.get(pk=clinic[0].pk)
    assert moved.starts_at == at("2027-03-28T09:00+02:00") and moved.ends_at - moved.starts_at == HOUR
    assert (moved.revision, moved.sequence, moved.confirmed_at) == (2, 1, None)
    change.refresh_from_db()
    assert change.counts == {"moved": 3, "reminders withdrawn": 9, "reminders planned": 9}
    assert moved.deliveries.filter(state="planned", revision=2).count() == 3


def test_what_was_done_before_the_worker_died_is_not_done_again(
    clinic: list[Booking], worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    change = bulk.start(bulk.Kind.MOVE, tomorrow(), days=7, reason="burst pipe", actor="olga")
    real, calls = bulk._make, []

    def dies_in_the_second_chunk(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            real(*args)
            raise OperationalError("the server closed the connection")
        return real(*args)

    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr(bulk, "_make", dies_in_the_second_chunk)
        for _ in range(5):
            bulk._chunk(change.pk)
    assert [Booking.objects.get(pk=booking.pk).revision for booking in clinic[:3]] == [2, 2, 1]
    worker.run_due()
    assert [Booking.objects.get(pk=booking.pk).revision for booking in clinic[:3]] == [2, 2, 2]
    change.refresh_from_db()
    assert (change.done, change.counts["moved"]) == (3, 3)


def test_who_was_put_on_that_day_afterwards_stays_there(
    then: Any, clinic: list[Booking], worker: InProcessWorker
) -> None:
    bulk.start(bulk.Kind.MOVE, tomorrow(), days=1, reason="burst pipe", actor="olga")
    then.advance(timedelta(minutes=1))
    made = make_booking(alice(), starts=at("2027-03-27T15:00+01:00"), location="Clinic")
    bookings.reschedule(clinic[4], starts_at=at("2027-03-27T16:00+01:00"), ends_at=at("2027-03-27T17:00+01:00"))
    worker.run_due()
    assert Booking.objects.get(pk=made.pk).revision == 1
    assert Booking.objects.get(pk=clinic[4].pk).revision == 2


def test_twice_asked_is_once_done(clinic: list[Booking], worker: InProcessWorker) -> None:
    for _ in range(2):
        bulk.start(bulk.Kind.CANCEL, tomorrow(), reason="burst pipe", actor="olga")
    worker.run_due()
    assert [change.counts.get("cancelled", 0) for change in BulkChange.objects.order_by("pk")] == [3, 0]


def test_a_change_costs_the_same_statements_for_few_and_for_many(
    worker: InProcessWorker, django_assert_max_num_queries: Any
) -> None:
    customer: Customer = alice()
    for hour in range(40):
        make_booking(customer, starts=at("2027-03-27T00:00+01:00") + hour * timedelta(minutes=30), location="Clinic")
    change = bulk.start(bulk.Kind.CANCEL, tomorrow(), reason="burst pipe", actor="olga")
    with django_assert_max_num_queries(20):
        bulk._chunk(change.pk)
    assert Booking.objects.filter(status="cancelled").count() == 40


@pytest.mark.parametrize(
    ("days", "reason", "told"), [(0, "pipe", "Move by 1"), (400, "pipe", "this says 400"), (1, " ", "Say why")]
)
def test_a_change_that_makes_no_sense_is_refused(days: int, reason: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        bulk.start(bulk.Kind.MOVE, tomorrow(), days=days, reason=reason, actor="olga")
    assert not BulkChange.objects.exists() and not Job.objects.exists()


@pytest.mark.parametrize(
    "filters", [{}, {"service": ""}, {"status": "cancelled"}, {"starts_from": "2027-03-27T09:00"}, {"on": "tomorrow"}]
)
def test_a_selection_of_everything_or_of_nothing_known_is_refused(filters: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        bulk.Selection.model_validate(filters)


def test_an_operator_can_stop_it_and_sees_how_far_it_came(clinic: list[Booking], worker: InProcessWorker) -> None:
    change = bulk.start(bulk.Kind.CANCEL, tomorrow(), reason="burst pipe", actor="olga")
    Job.objects.filter(task="notifications.bulk").update(cancel_requested=False, state="cancelled")
    worker.run_due(None)
    change.refresh_from_db()
    assert (change.done, change.total, change.finished_at) == (0, 3, None)


def test_a_change_that_is_over_stays_as_long_as_any_job_and_then_goes(worker: InProcessWorker) -> None:
    """But for one that wrote to somebody: its messages are the customers' story."""
    make_booking(alice())
    words = bulk.Circular(subject="Hello", text="Hello", channels=(Channel.EMAIL,))
    asked: dict[str, Any] = {"reason": "x", "actor": "olga"}
    told = bulk.start(bulk.Kind.MESSAGE, bulk.Selection(service="Haircut"), message=words, **asked)
    nobody = bulk.start(bulk.Kind.MESSAGE, bulk.Selection(service="Colour"), message=words, **asked)
    moved = bulk.start(bulk.Kind.MOVE, bulk.Selection(service="Colour"), days=1, **asked)
    off = bulk.start(bulk.Kind.CANCEL, bulk.Selection(service="Colour"), **asked)
    open_ = bulk.start(bulk.Kind.CANCEL, bulk.Selection(service="Nails"), **asked)
    worker.drain()
    old = timezone.now() - 91 * DAY
    BulkChange.objects.filter(pk__in=[told.pk, nobody.pk, moved.pk]).update(finished_at=old)
    BulkChange.objects.filter(pk=off.pk).update(finished_at=None, cancelled_at=old)
    BulkChange.objects.filter(pk=open_.pk).update(finished_at=None)
    assert bulk.prune() == 3
    assert set(BulkChange.objects.values_list("pk", flat=True)) == {told.pk, open_.pk}
    assert list(ReminderRule.objects.filter(anchor="bulk_message")) == [told.rule]
    BulkChange.objects.filter(pk=open_.pk).update(finished_at=timezone.now() - 89 * DAY)
    assert bulk.prune() == 0
