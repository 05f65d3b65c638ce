"""Bookings, payments and rules change at the very moment at which a reminder is sent or planned.

Two connections to PostgreSQL, in an order that the test decides (see tests/races.py). What is told has to be true: who
hears "withdrawn" may rely on it that no provider is called, and who comes too late hears that it is in flight.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from jobs import dispatcher, ledger, rescuer
from jobs.models import Job
from notifications import bookings, consent, fence, payments, planning, reconciler, reminders, rendering
from notifications.channels.base import Busy
from notifications.imports import customers, import_bookings
from notifications.imports.rows import booking_row
from notifications.models import Booking, Delivery, Payment, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, bob, make_booking, make_payment
from tests.notifications.test_reminders import due_now, first
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

Change = Callable[[Delivery], Any]
WITHDRAWN, IN_FLIGHT = "withdrawn", "in flight"


# --- What people do; each answers whether the delivery was withdrawn or is in flight -----------------------


def told(receipt: bookings.Receipt, delivery: Delivery) -> str:
    assert (delivery in receipt.cancelled) != (delivery in receipt.in_flight)
    return WITHDRAWN if delivery in receipt.cancelled else IN_FLIGHT


def booking_cancelled(delivery: Delivery) -> str:
    return told(bookings.cancel(fresh(delivery)), delivery)


def booking_moved(delivery: Delivery) -> str:
    booking = fresh(delivery)
    later = {"starts_at": booking.starts_at + DAY, "ends_at": booking.ends_at + DAY}
    return told(bookings.reschedule(booking, **later), delivery)


def booking_handed_over(delivery: Delivery) -> str:
    booking = fresh(delivery)
    same = {name: getattr(booking, name) for name in ("starts_at", "ends_at", "time_zone")}
    return told(bookings.change(booking, **same, customer=bob()), delivery)


def payment_paid(delivery: Delivery) -> str:
    return told(payments.mark_paid(fresh(delivery)), delivery)


def payment_postponed(delivery: Delivery) -> str:
    payment = fresh(delivery)
    return told(payments.postpone(payment, payment.due_on + 9 * DAY), delivery)


def payment_called_off(delivery: Delivery) -> str:
    return told(payments.cancel(fresh(delivery)), delivery)


def rule_switched_off(delivery: Delivery) -> str:
    ReminderRule.objects.filter(pk=delivery.rule_id).update(active=False)
    done = list(reconciler.reconcile())
    return WITHDRAWN if delivery in [one for plan in done for one in plan.withdrawn] else IN_FLIGHT


def imported_as_cancelled(delivery: Delivery) -> str:
    import_booking(fresh(delivery), status="cancelled")
    return WITHDRAWN if state(delivery) == "skipped" else IN_FLIGHT


def imported_as_moved(delivery: Delivery) -> str:
    booking = fresh(delivery)
    import_booking(booking, starts_at=(booking.starts_at + DAY).isoformat())
    return WITHDRAWN if state(delivery) == "skipped" else IN_FLIGHT


def withdrawn_in_the_admin(delivery: Delivery) -> str:
    return WITHDRAWN if reconciler.withdraw([delivery.pk], "olga") else IN_FLIGHT


def customer_opted_out(delivery: Delivery) -> str:
    consent.record(delivery.customer, "email", False, source="unsubscribe_link", actor="alice")
    return WITHDRAWN if state(delivery) == "skipped" else IN_FLIGHT


def address_suppressed(delivery: Delivery) -> str:
    consent.suppress("email", delivery.customer.email, "bounce")
    return WITHDRAWN if state(delivery) == "skipped" else IN_FLIGHT


OF_A_BOOKING: list[Change] = [
    customer_opted_out,
    address_suppressed,
    booking_cancelled,
    booking_moved,
    booking_handed_over,
    rule_switched_off,
    imported_as_cancelled,
    imported_as_moved,
    withdrawn_in_the_admin,
]
OF_A_PAYMENT: list[Change] = [payment_paid, payment_postponed, payment_called_off]
EVERY_CHANGE = pytest.mark.parametrize("change", OF_A_BOOKING + OF_A_PAYMENT, ids=lambda change: change.__name__)


def import_booking(booking: Booking, **cells: str) -> None:
    row = {
        "external_id": str(booking.external_id),
        "customer_email": booking.customer.email,
        "customer_name": booking.customer.name,
        "service": booking.service,
        "starts_at": booking.starts_at.isoformat(),
        "duration_minutes": "60",
        "time_zone": booking.time_zone,
    }
    list(import_bookings([booking_row(2, row | cells)]))


def fresh(delivery: Delivery) -> Any:
    """The booking or payment, as somebody else has loaded it."""
    return Delivery.objects.select_related("booking__customer", "payment__customer").get(pk=delivery.pk).anchor


def state(delivery: Delivery) -> str:
    return str(Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk))


def due(change: Change) -> Delivery:
    """A due delivery that the change is about."""
    customer = alice()
    return due_now(
        first(make_payment(customer) if change in OF_A_PAYMENT else make_booking(customer, external_id="B-1"))
    )


def one_message(worker: InProcessWorker) -> Any:
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    return message


# --- A change against the worker that sends ------------------------------------------------------------


@EVERY_CHANGE
def test_after_a_change_that_was_confirmed_no_provider_is_called(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    """The worker has claimed the job and rendered the message by then."""
    delivery, provider = due(change), HeldProvider(monkeypatch)
    message, rendered = one_message(worker), Held(monkeypatch, rendering, "render")
    with rendered.while_there(lambda: worker.run(message)):
        assert change(delivery) == WITHDRAWN
    assert not provider.reached.is_set() and provider.sent == []
    assert state(delivery) == "skipped"
    assert Job.objects.get(pk=delivery.pk).state in ("succeeded", "cancelled")


@EVERY_CHANGE
def test_a_change_while_the_provider_is_called_hears_that_it_is_in_flight(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    delivery, provider = due(change), HeldProvider(monkeypatch)
    message = one_message(worker)
    with provider.while_there(lambda: worker.run(message)):
        assert change(delivery) == IN_FLIGHT
        assert state(delivery) == "sending"
    assert provider.sent == [str(delivery.pk)]
    assert state(delivery) == "sent"


@EVERY_CHANGE
@pytest.mark.parametrize("first_is", ["the change", "the fence"])
def test_of_a_change_and_the_fence_at_once_the_second_sees_what_the_first_did(change: Change, first_is: str) -> None:
    """Neither is committed when the other begins."""
    delivery = due(change)
    dispatcher.dispatch_due()
    job = ledger.claim(delivery.pk, "me:1")
    assert job

    def worker_at_the_fence() -> bool:
        return fence.intend(delivery, "alice@example.com", job)

    if first_is == "the change":
        assert race(lambda: change(delivery), worker_at_the_fence) == (WITHDRAWN, False)
        assert state(delivery) == "skipped"
    else:
        assert race(worker_at_the_fence, lambda: change(delivery)) == (True, IN_FLIGHT)
        assert state(delivery) == "sending"


def test_a_rule_that_changes_while_the_fence_is_passed_moves_nothing() -> None:
    delivery = due(booking_cancelled)
    ReminderRule.objects.filter(pk=delivery.rule_id).update(offset=-HOUR / 2)
    dispatcher.dispatch_due()
    job = ledger.claim(delivery.pk, "me:1")
    assert job
    _, done = race(lambda: fence.intend(delivery, "alice@example.com", job), lambda: list(reconciler.reconcile()))
    assert [plan.moved for plan in done] == [[]]
    assert (state(delivery), Delivery.objects.get(pk=delivery.pk).send_at) == ("sending", delivery.send_at)


def test_a_job_that_an_operator_cancels_while_the_provider_is_called_is_in_flight_and_then_sent(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    message = one_message(worker)
    with provider.while_there(lambda: worker.run(message)):
        assert ledger.cancel([delivery.pk], "olga said so") == {delivery.pk: "in flight"}
    assert (state(delivery), provider.sent) == ("sent", [str(delivery.pk)])
    assert Job.objects.get(pk=delivery.pk).state == "succeeded"


def test_busy_after_a_cancel_is_not_tried_again(worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    message, provider.answer = one_message(worker), Busy("451 greylisted")
    with provider.while_there(lambda: worker.run(message)):
        assert booking_cancelled(delivery) == IN_FLIGHT
    provider.answer = None
    due_now(delivery)
    worker.run_due()
    reconciler.settle()
    assert (state(delivery), provider.sent) == ("skipped", [])


# --- Two attempts at one delivery ----------------------------------------------------------------------


def given_up_for_dead(worker: InProcessWorker) -> Any:
    """The lease runs out though the worker lives. Returns the message of the next attempt."""
    Job.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
    assert rescuer.rescue_lost().restarted == 1
    return one_message(worker)


def test_a_second_attempt_during_a_slow_call_makes_a_doubt_that_the_first_resolves(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    message = one_message(worker)
    with provider.while_there(lambda: worker.run(message)):
        worker.run(given_up_for_dead(worker))
        assert state(delivery) == "in_doubt"
    assert (state(delivery), provider.sent) == ("sent", [str(delivery.pk)])


@pytest.mark.parametrize(("answer", "then"), [("sent", "sent"), ("planned", "sent"), ("refused", "refused")])
def test_a_doubt_is_not_written_over_an_answer(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, answer: str, then: str
) -> None:
    """The second attempt has seen the first's intent; before it notes a doubt, the first one's answer is there."""
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    provider.go_on.set()
    dispatcher.dispatch_due()
    (message,) = worker.messages()
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=0)
    race(lambda: Delivery.objects.filter(pk=delivery.pk).update(state=answer), lambda: worker.run(message))
    assert state(delivery) == then
    assert Job.objects.get(pk=delivery.pk).state == "succeeded"
    assert provider.sent == ([str(delivery.pk)] if answer == "planned" else [])


@pytest.mark.parametrize("decided", [{"state": "sending", "token": 7}, {"state": "skipped"}], ids=["token", "state"])
def test_an_outcome_is_written_over_its_own_intent_only(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, decided: dict[str, Any]
) -> None:
    delivery, provider = due(booking_cancelled), HeldProvider(monkeypatch)
    message, provider.answer = one_message(worker), Busy("451 greylisted")
    with provider.while_there(lambda: worker.run(message)):
        Delivery.objects.filter(pk=delivery.pk).update(**decided)
    assert Delivery.objects.filter(pk=delivery.pk, **decided).exists()


# --- Planners, importers and people against each other ---------------------------------------------------


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
            assert settled.result(5) == 0  # while it is locked
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
    assert sorted(answers) == [0, 9]
