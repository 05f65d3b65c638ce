"""The intent fence: what changes between rendering a message and handing it over is seen, whatever it is.

In each test the worker has looked at the rows and rendered its message when something happens; the next statement is
the fence.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import OperationalError
from django.utils import timezone

from jobs.models import Job
from notifications import fence, guarantees, outcomes, reconciler, reminders, rendering
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, make_booking, make_payment
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db


@pytest.fixture
def meanwhile(worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Delivery]:
    """Run a due delivery; `happens` after its message is rendered. Returns the delivery as it is in the end."""

    def run(happens: Callable[[Delivery], Any], anchor: Any = None) -> Delivery:
        delivery, render = due_now(first(anchor or make_booking(alice()))), rendering.render

        def rendered(row: Delivery, **facts: Any) -> Any:
            message = render(row, **facts)
            happens(delivery)
            return message

        monkeypatch.setattr(rendering, "render", rendered)
        worker.run_due()
        delivery.refresh_from_db()
        return delivery

    return run


def of(model: Any, **changes: Any) -> Callable[[Delivery], Any]:
    """A change past the application, as by an SQL shell: only the fence can see it."""
    return lambda delivery: model.objects.update(**changes)


def booking_to_confirm(customer: Customer) -> Booking:
    """Of those who have confirmed, nobody is reminded."""
    ReminderRule.objects.update(unless_confirmed=True)
    return make_booking(customer)


def confirmed(delivery: Delivery) -> None:
    Booking.objects.update(confirmed_at=timezone.now())


def soon(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(send_at=timezone.now() + HOUR)


def late(delivery: Delivery) -> None:
    just_over = timezone.now() - timedelta(seconds=1)  # SQLite's clock tells no less than a millisecond
    Delivery.objects.filter(pk=delivery.pk).update(useful_until=just_over)


@pytest.mark.parametrize(
    ("anchor", "happens", "ends"),
    [
        pytest.param(make_booking, of(Booking, status="cancelled"), "cancelled", id="booking cancelled"),
        pytest.param(make_booking, of(Booking, revision=2), "rescheduled", id="booking moved"),
        pytest.param(make_payment, of(Payment, status="paid"), "paid", id="payment paid"),
        pytest.param(make_payment, of(Payment, revision=2), "rescheduled", id="payment postponed"),
        pytest.param(make_booking, of(ReminderRule, active=False), "rule_off", id="rule off"),
        pytest.param(make_booking, of(ReminderRule, anchor="booking_made"), "planned", id="rule about something else"),
        pytest.param(booking_to_confirm, confirmed, "confirmed", id="confirmed"),
        pytest.param(make_booking, of(Delivery, state="skipped", reason="paid"), "paid", id="withdrawn"),
        pytest.param(make_booking, late, "too_late", id="too late"),
        pytest.param(make_booking, soon, "planned", id="not yet due"),
    ],
)
def test_what_changes_between_rendering_and_the_fence_is_not_sent(
    meanwhile: Callable[..., Delivery], anchor: Callable[..., Any], happens: Callable[[Delivery], Any], ends: str
) -> None:
    delivery = meanwhile(happens, anchor(alice()))
    assert (delivery.reason or delivery.state, mail.outbox) == (ends, [])
    job = Job.objects.get(pk=delivery.pk)
    assert happens is not soon or (job.run_at, job.failures) == (delivery.send_at, 0)  # it waits, and has not failed
    assert job.state in (("scheduled", "queued") if ends == "planned" else ("succeeded",))


@pytest.mark.parametrize(
    "changes",
    [
        {"token": 7},
        {"state": "scheduled", "lease_until": None, "worker": ""},
        {"state": "cancelled", "lease_until": None},
        {"cancel_requested": True},
    ],
    ids=["claimed by another", "rescued", "cancelled", "asked to stop"],
)
def test_the_fence_is_shut_to_a_worker_whose_job_was_taken_away(
    meanwhile: Callable[..., Delivery], changes: dict[str, Any]
) -> None:
    delivery = meanwhile(lambda delivery: Job.objects.filter(pk=delivery.pk).update(**changes))
    assert (delivery.state, mail.outbox) == ("planned", [])


def test_a_worker_whose_lease_is_nearly_over_does_not_begin(meanwhile: Callable[..., Delivery]) -> None:
    """It was stopped for long, or its heartbeats fail. Once rescued, the job may be confirmed as cancelled."""
    left = guarantees.QUARANTINE - timedelta(seconds=1)
    delivery = meanwhile(lambda row: Job.objects.filter(pk=row.pk).update(lease_until=timezone.now() + left))
    job = Job.objects.get(pk=delivery.pk)
    assert (delivery.state, mail.outbox) == ("planned", [])
    assert job.state in ("scheduled", "queued") and "lease is nearly over" in job.reason


def test_a_template_that_breaks_changes_nothing_that_was_withdrawn(worker: InProcessWorker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))

    def broken(row: Delivery, **facts: Any) -> None:
        assert reconciler.withdraw([delivery.pk], "olga") == {delivery.pk: "withdrawn"}
        raise ValueError("no such variable")

    monkeypatch.setattr(rendering, "render", broken)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.reason, delivery.detail) == ("job_cancelled", "by olga")


def test_the_reason_of_a_withdrawal_is_not_written_over(meanwhile: Callable[..., Delivery], monkeypatch) -> None:
    """The fence was shut because it is too late; before that is noted, Olga withdraws the delivery."""
    skipped = outcomes.skipped

    def withdrawn_first(delivery: Delivery, *rest: Any) -> str:
        reconciler.withdraw([delivery.pk], "olga")
        return skipped(delivery, *rest)

    monkeypatch.setattr(outcomes, "skipped", withdrawn_first)
    assert meanwhile(late).reason == "job_cancelled"


# --- Between the intent and the request ----------------------------------------------------------------


def intent_is_unanswered(monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any] = lambda: None) -> None:
    """The fence is committed, `then` something happens, and only then the connection turns out to be broken."""
    broken: list[bool] = []

    class Unanswered(type(Delivery.objects.all())):  # type: ignore[misc]
        def update(self, **changes: Any) -> int:
            done: int = super().update(**changes)
            if changes.get("state") == "sending" and not broken:
                broken.append(True)
                then()
                raise OperationalError("server closed the connection unexpectedly")
            return done

    monkeypatch.setattr(Delivery.objects, "_queryset_class", Unanswered)


def test_an_intent_whose_commit_was_not_answered_is_taken_back(worker: InProcessWorker, monkeypatch) -> None:
    delivery = due_now(first(make_booking(alice())))
    intent_is_unanswered(monkeypatch)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, mail.outbox) == ("planned", [])
    due_now(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, len(mail.outbox)) == ("sent", 1)


@pytest.mark.parametrize(
    "decided",
    [{"token": 7}, {"state": "in_doubt"}, {"state": "skipped"}],
    ids=["intent of another attempt", "doubt", "withdrawn"],
)
def test_nothing_is_taken_back_but_the_intent_itself(worker: InProcessWorker, monkeypatch, decided) -> None:
    delivery = due_now(first(make_booking(alice())))
    rows = Delivery.objects.filter(pk=delivery.pk)
    intent_is_unanswered(monkeypatch, lambda: Delivery._base_manager.filter(pk=delivery.pk).update(**decided))
    worker.run_due()
    assert rows.filter(**{"state": "sending"} | decided).exists()
    assert mail.outbox == []


def test_an_intent_that_another_attempt_wrote_meanwhile_is_not_ours_to_judge(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We found a lost worker's intent; before we note that nobody knows, there is a new one that is alive."""
    delivery, of_channel = due_now(first(make_booking(alice()))), guarantees.of
    Delivery.objects.filter(pk=delivery.pk).update(state="sending", token=0)

    def another_begins(channel: str) -> Any:
        Delivery.objects.filter(pk=delivery.pk).update(token=7)
        return of_channel(channel)

    monkeypatch.setattr(guarantees, "of", another_begins)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.token, mail.outbox) == ("sending", 7, [])
    assert Job.objects.get(pk=delivery.pk).state in ("scheduled", "queued")  # it looks again later


@pytest.mark.parametrize("off", [-DAY, DAY], ids=["behind", "ahead"])
def test_a_worker_whose_clock_is_wrong_sends_neither_early_nor_late(worker: InProcessWorker, off: timedelta) -> None:
    now = timezone.now()
    late, due, soon = (first(make_booking(alice())) for _ in range(3))
    rows = Delivery.objects.filter
    rows(pk=late.pk).update(send_at=now - 2 * HOUR, useful_until=now - HOUR)
    rows(pk=due.pk).update(send_at=now - MINUTE, useful_until=now + HOUR)
    rows(pk=soon.pk).update(send_at=now + 2 * HOUR, useful_until=now + 3 * HOUR)
    Job.objects.filter(pk__in=[late.pk, due.pk, soon.pk]).update(run_at=now - MINUTE)  # whoever made them due
    with time_machine.travel(now + off):
        worker.run_due()
    states = [rows(pk=each.pk).get().state for each in (late, due, soon)]
    assert (states, len(mail.outbox)) == (["skipped", "sent", "planned"], 1)


def test_the_quarantine_begins_before_the_fence_is_asked(worker: InProcessWorker, monkeypatch) -> None:
    """A worker may be stopped while the database answers; the rescuer has given its job away by then."""
    delivery, stopped, still_wanted = due_now(first(make_booking(alice()))), [0.0], fence._still_wanted
    real = time.monotonic

    def stopped_there(*asked: Any) -> Any:
        stopped[0] = guarantees.QUARANTINE.total_seconds() + 1
        return still_wanted(*asked)

    monkeypatch.setattr(time, "monotonic", lambda: real() + stopped[0])
    monkeypatch.setattr(fence, "_still_wanted", stopped_there)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, mail.outbox) == ("planned", [])


def test_a_call_of_a_provider_has_an_end() -> None:
    """A heartbeat beats for a sender that hangs, too: only its limit ends that."""
    task = reminders.deliver
    assert task.soft_time_limit and task.time_limit
    assert (
        guarantees.QUARANTINE
        < timedelta(seconds=task.soft_time_limit)
        < timedelta(seconds=task.time_limit)
        < 5 * MINUTE
    )
