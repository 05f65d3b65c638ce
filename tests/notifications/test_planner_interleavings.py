"""Planners, importers and people change one booking at the same moment: none undoes what another did."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from jobs import ledger
from jobs.ids import new_id
from jobs.models import Job
from notifications import bookings, bulk, payments, planning, reconciler, reminders, rendering
from notifications.imports import customers
from notifications.models import Booking, BulkChange, Delivery, Payment, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, make_booking, make_payment
from tests.notifications.changing import (
    WITHDRAWN,
    booking_cancelled,
    due,
    import_booking,
    one_message,
    rule_switched_off,
    state,
)
from tests.notifications.reminding import due_now, first
from tests.races import (
    PATIENCE,
    Held,
    HeldProvider,
    elsewhere,
    needs_postgresql,
    race,
    through_the_middle,
    until_it_waits,
)

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def planned(booking: Booking) -> list[int]:
    """The revisions of what is to go out."""
    return sorted(booking.deliveries.filter(state="planned").values_list("revision", flat=True))


def reconcile() -> None:
    list(reconciler.reconcile())


def raw_booking() -> Booking:
    when = bookings.schedule(timezone.now() + 2 * DAY, timezone.now() + 2 * DAY + HOUR, "UTC")
    return Booking.objects.create(customer=alice(), service="raw", **when)


def test_two_planners_at_once_make_each_reminder_once() -> None:
    """Even those that hold no lock: nobody else can know of a booking that has just been made."""
    booking = raw_booking()
    race(lambda: reminders.plan([booking]), lambda: plan_in_a_transaction(booking))
    assert planned(booking) == [1, 1, 1]


def plan_in_a_transaction(booking: Booking) -> None:
    with transaction.atomic():
        reminders.plan([booking])


def test_two_reconcilers_at_once_make_each_reminder_and_each_job_once() -> None:
    booking = raw_booking()
    race(reconcile, reconcile)
    assert planned(booking) == [1, 1, 1] and Job.objects.count() == 3


def off(booking: Booking) -> str:
    try:
        bookings.cancel(booking)
    except bookings.NotOpen:
        return "not open"
    return "cancelled"


def move(booking: Booking, by: timedelta = DAY) -> str:
    try:
        bookings.reschedule(booking, starts_at=booking.starts_at + by, ends_at=booking.ends_at + by)
    except bookings.NotOpen:
        return "not open"
    return "moved"


@pytest.mark.parametrize(
    ("acts", "answers"), [((off, move), ("cancelled", "not open")), ((move, off), ("moved", "cancelled"))]
)
def test_of_two_changes_of_a_booking_the_second_sees_what_the_first_did(acts: Any, answers: Any) -> None:
    booking = make_booking(alice())
    mine, other = Booking.objects.get(), Booking.objects.get()
    assert race(lambda: acts[0](mine), lambda: acts[1](other)) == answers
    assert planned(booking) == [] and Booking.objects.get().status == "cancelled"


def test_two_moves_at_once_have_a_revision_each() -> None:
    booking = make_booking(alice())
    mine, other = Booking.objects.get(), Booking.objects.get()
    assert race(lambda: move(mine), lambda: move(other, 2 * DAY)) == ("moved", "moved")
    assert Booking.objects.get().revision == 3
    assert planned(booking) == [3, 3, 3]


def test_two_part_payments_at_once_add_up() -> None:
    payment = make_payment(alice(), amount=4550)
    mine, other = Payment.objects.get(), Payment.objects.get()
    race(lambda: payments.mark_paid(mine, 4000), lambda: payments.mark_paid(other, 550))
    assert Payment.objects.get().status == "paid"
    assert not payment.deliveries.filter(state="planned").exists()


@pytest.mark.parametrize("kind", ["booking", "payment"])
def test_a_change_whose_plan_fails_is_no_change(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    anchor: Any = make_booking(alice()) if kind == "booking" else make_payment(alice())

    def down(*_: Any) -> None:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr(ledger, "cancel", down)
    with pytest.raises(OperationalError):
        bookings.cancel(anchor) if kind == "booking" else payments.cancel(anchor)
    assert type(anchor).objects.get().status != "cancelled"
    assert anchor.deliveries.filter(state="planned").exists()


Planner = Callable[[Booking], Any]


def new_address(booking: Booking) -> None:
    reconciler.replan(booking.customer)


def imported(booking: Booking) -> None:
    import_booking(booking, starts_at=(booking.starts_at + 2 * DAY).isoformat())


@pytest.mark.parametrize(
    ("planner", "place", "name"),
    [
        (lambda booking: reconcile(), reconciler, "plan"),
        (new_address, reconciler, "plan"),
        (imported, customers, "upsert"),
    ],
    ids=["reconciler", "new address", "import"],
)
@pytest.mark.parametrize("change", [off, move])
def test_a_planner_that_has_read_a_booking_lets_no_change_overtake_it(
    monkeypatch: pytest.MonkeyPatch, planner: Planner, place: Any, name: str, change: Callable[[Booking], str]
) -> None:
    """It plans by what it read. If the booking changed before it writes, a cancelled one would be reminded of."""
    booking = make_booking(alice(), external_id="B-1")
    mine = Booking.objects.select_related("customer").get()
    held = Held(monkeypatch, place, name)
    with held.while_there(lambda: planner(mine)):
        began = elsewhere(lambda: change(booking))
        until_it_waits(*began.__enter__())
    began.__exit__(None, None, None)
    booking = Booking.objects.get()
    assert planned(booking) == ([] if change is off else [booking.revision] * 3)
    assert booking.status == ("cancelled" if change is off else "booked")


def test_two_imports_of_one_booking_make_it_once() -> None:
    booking = make_booking(alice(), external_id="B-1")
    new = Booking(external_id="B-2", **{name: getattr(booking, name) for name in COPIED})
    race(lambda: import_booking(new), lambda: import_booking(new, service="Shave"))
    assert Booking.objects.get(external_id="B-2").service == "Shave"
    assert planned(Booking.objects.get(external_id="B-2")) == [1, 1, 1]


COPIED = ("customer", "service", "starts_at", "ends_at", "time_zone")


def test_settle_leaves_alone_what_is_being_changed() -> None:
    delivery = due(booking_cancelled)
    ledger.cancel([delivery.pk], "olga said so")
    with transaction.atomic():
        Delivery.objects.select_for_update().get(pk=delivery.pk)
        with elsewhere(reconciler.settle) as (settled, _):
            assert settled.result(PATIENCE) == 0  # while it is locked
    assert reconciler.settle() == 1


def sent_again(delivery: Delivery) -> int:
    """Olga sends it again, and it goes out at once."""
    again = reconciler.resend([delivery.pk], "olga")
    Delivery.objects.filter(pk=delivery.pk).update(state="sent")
    Job.objects.filter(pk=delivery.pk).update(state="succeeded", finished_at=timezone.now())
    return again


def test_a_resend_does_not_bring_back_what_was_sent_meanwhile() -> None:
    delivery = due(booking_cancelled)
    reconciler.withdraw([delivery.pk], "olga")
    assert race(lambda: sent_again(delivery), lambda: reconciler.resend([delivery.pk], "vera")) == (1, 0)
    assert (state(delivery), Job.objects.get(pk=delivery.pk).state) == ("sent", "succeeded")


def test_a_restore_that_comes_too_late_does_not_send_again() -> None:
    booking = make_booking(alice())
    delivery = first(booking)
    rule_switched_off(delivery)
    ReminderRule.objects.update(active=True)
    Delivery.objects.filter(pk=delivery.pk).update(send_at=timezone.now())
    race(lambda: sent_again(delivery), reconcile)
    assert (state(delivery), Job.objects.get(pk=delivery.pk).state) == ("sent", "succeeded")


@pytest.mark.parametrize("held_at", ["before it looks", "before the fence"])
def test_a_reminder_that_is_restored_while_its_job_still_runs_goes_out(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, held_at: str
) -> None:
    """Its rule is switched off and, with another time, on again, before the worker has found out."""
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    provider.go_on.set()
    message = one_message(worker)
    place: tuple[Any, str] = (rendering, "render") if held_at == "before the fence" else (planning, "unwanted")
    held = Held(monkeypatch, *place)
    with held.while_there(lambda: worker.run(message)):
        assert rule_switched_off(delivery) == WITHDRAWN
        ReminderRule.objects.filter(pk=delivery.rule_id).update(active=True, offset=-timedelta(hours=23))
        reconcile()
        assert state(delivery) == "planned"
    reconciler.settle()
    assert state(delivery) == "planned"
    assert Job.objects.get(pk=delivery.pk).state in ("scheduled", "queued")  # the jitter may be nothing
    worker.run_due()
    due_now(delivery)
    worker.run_due()
    assert (state(delivery), provider.sent) == ("sent", [str(delivery.pk)])


def test_a_reminder_that_is_restored_when_its_worker_has_just_left_it_goes_out(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker found it withdrawn; it is planned again before the worker has said that its job is done."""
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    provider.go_on.set()
    message = one_message(worker)
    rendered, done = Held(monkeypatch, rendering, "render"), Held(monkeypatch, ledger, "succeed")
    with done.while_there(lambda: worker.run(message), first=rendered) as run:
        assert rule_switched_off(delivery) == WITHDRAWN
        rendered.go_on.set()
        assert done.reached.wait(PATIENCE) and not run.done()
        ReminderRule.objects.filter(pk=delivery.rule_id).update(active=True, offset=-timedelta(hours=23))
        reconcile()
    assert (state(delivery), Job.objects.get(pk=delivery.pk).state) == ("planned", "succeeded")
    reconciler.settle()
    assert (state(delivery), Job.objects.get(pk=delivery.pk).state) == ("planned", "scheduled")
    due_now(delivery)
    worker.run_due()
    assert (state(delivery), provider.sent) == ("sent", [str(delivery.pk)])


def test_two_changes_of_many_deliveries_do_not_deadlock() -> None:
    for _ in range(3):
        make_booking(alice())
    ids = sorted(Delivery.objects.values_list("pk", flat=True))
    for pk in ids[::-1]:
        Delivery.objects.filter(pk=pk).update(detail="moves the row to the end of the table")
    answers = through_the_middle(
        Delivery.objects.filter(pk=ids[4]),
        lambda: reconciler.withdraw(ids, "olga"),
        lambda: reconciler.withdraw(ids[::-1], "vera"),
    )
    assert sorted(map(len, answers)) == [0, 9]


def test_a_change_to_many_that_is_asked_for_twice_at_once_is_started_once() -> None:
    """Two clicks on one page: they bring the same token, and neither finds that the other has started it."""
    make_booking(alice(), location="Clinic")
    token = new_id()

    def click() -> bool:
        try:
            bulk.start(bulk.Kind.CANCEL, bulk.Selection(location="Clinic"), reason="pipe", actor="olga", token=token)
        except IntegrityError:
            return False
        return True

    assert race(click, click) == (True, False)
    assert BulkChange.objects.count() == Job.objects.filter(task="notifications.bulk").count() == 1
