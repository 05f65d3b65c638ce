"""Bookings, payments and rules change at the very moment at which a reminder is sent or planned.

Two connections to PostgreSQL, in an order that the test decides (see tests/races.py). What is told has to be true: who
hears "withdrawn" may rely on it that no provider is called, and who comes too late hears that it is in flight.
"""

import pytest

from jobs import dispatcher, ledger
from jobs.models import Job
from notifications import bookings, consent, fence, reconciler, rendering
from notifications.channels.base import Busy
from notifications.models import Delivery, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, bob
from tests.notifications.changing import (
    IN_FLIGHT,
    OF_A_PAYMENT,
    WITHDRAWN,
    Change,
    booking_cancelled,
    due,
    fresh,
    import_booking,
    message_to_many_called_off,
    one_message,
    rule_switched_off,
    state,
    told,
)
from tests.notifications.reminding import due_now
from tests.races import Held, HeldProvider, needs_postgresql, race

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def booking_moved(delivery: Delivery) -> str:
    booking = fresh(delivery)
    later = {"starts_at": booking.starts_at + DAY, "ends_at": booking.ends_at + DAY}
    return told(bookings.reschedule(booking, **later), delivery)


def booking_handed_over(delivery: Delivery) -> str:
    booking = fresh(delivery)
    same = {name: getattr(booking, name) for name in ("starts_at", "ends_at", "time_zone")}
    return told(bookings.change(booking, **same, customer=bob()), delivery)


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
    message_to_many_called_off,
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
EVERY_CHANGE = pytest.mark.parametrize("change", OF_A_BOOKING + OF_A_PAYMENT, ids=lambda change: change.__name__)


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
