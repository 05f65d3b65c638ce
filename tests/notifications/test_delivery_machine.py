"""Reminders under everything at once: Hypothesis chooses what people, workers and the provider do, and when.

The worker's own code runs `deliver`, and things happen in its middle: when the message is rendered and the fence comes
next, and while the provider has it. The provider remembers what it accepted; the rows must tell the same story.
"""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings, stateful, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs import dispatcher, ledger, rescuer
from jobs.models import Job
from notifications import bookings, payments, reconciler, rendering
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Receipt, Refused, Unknown
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, make_booking, make_payment

pytestmark = pytest.mark.django_db

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
PROFILE = settings(
    max_examples=2_000 if NIGHTLY else 20,
    stateful_step_count=40 if NIGHTLY else 12,
    derandomize=not NIGHTLY,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink] if NIGHTLY else [Phase.generate],  # to shrink takes minutes
    suppress_health_check=list(HealthCheck),
)
OPEN = ("planned", "sending")
ANSWERS = ["accepted", "accepted", "busy", "refused", "unknown", "answer lost", "broken", "killed"]
EVENTS = ["nothing", "nothing", "cancel", "move", "pay", "postpone", "rule off", "rule on", "no address"]
EVENTS += ["stop job", "withdraw", "lease over", "lease over and again", "killed"]


class Killed(BaseException):
    """The worker's process is gone."""


class DeliveryMachine(RuleBasedStateMachine):
    """Every example is a transaction that is rolled back."""

    worker: InProcessWorker

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.messages: list[Any] = []
        self.accepted: Counter[str] = Counter()
        self.withdrawn: set[str] = set()  # told so, and not planned again since
        self.sent_again: set[Any] = set()  # by a person, whether or not it is still wanted: the fence decides
        self.at_fence = self.at_provider = "nothing"
        self.answer = "accepted"
        few = [
            rule.pk for rule in ReminderRule.objects.filter(active=True) if rule.name.startswith(("24 hours", "3 days"))
        ]
        ReminderRule.objects.exclude(pk__in=few).delete()  # the others take time and show nothing else
        self.few = few
        customer = alice()
        self.booking, self.payment = make_booking(customer), make_payment(customer)

    # --- The worker, and what happens in its middle ---

    def due(self, pk: Any) -> None:
        """Time passes until a delivery is due."""
        past = timezone.now() - timedelta(seconds=5)
        Delivery.objects.filter(pk=pk, state="planned").update(send_at=past)
        Job.objects.filter(pk=pk, state="scheduled").update(run_at=past)

    def tick(self) -> None:
        dispatcher.dispatch_due()
        self.messages += self.worker.messages()

    @precondition(lambda self: Delivery.objects.filter(state="planned").exists())
    @rule(data=st.data())
    def one_falls_due(self, data: st.DataObject) -> None:
        self.due(
            data.draw(st.sampled_from(sorted(Delivery.objects.filter(state="planned").values_list("pk", flat=True))))
        )
        self.tick()

    @precondition(lambda self: self.messages)
    @rule(
        data=st.data(),
        again=st.sampled_from([False, False, True]),
        at_fence=st.sampled_from(EVENTS),
        at_provider=st.sampled_from(EVENTS),
        answer=st.sampled_from(ANSWERS),
    )
    def a_message_arrives(self, data: st.DataObject, again: bool, at_fence: str, at_provider: str, answer: str) -> None:
        message = data.draw(st.sampled_from(self.messages))
        if not again:
            self.messages.remove(message)
        self.at_fence, self.at_provider, self.answer = at_fence, at_provider, answer
        self.run(message)
        self.at_fence = self.at_provider = "nothing"
        self.tick()

    def run(self, message: Any) -> None:
        with suppress(Killed):
            self.worker.run(message)

    def render(self, delivery: Delivery, **facts: Any) -> Any:
        message = real_render(delivery, **facts)
        event, self.at_fence = self.at_fence, "nothing"
        self.happen(event, delivery)
        return message

    def send(self, message: Any, *, idempotency_key: str) -> Receipt:
        delivery = Delivery.objects.get(pk=idempotency_key)
        anchor: Any = delivery.anchor
        assert idempotency_key not in self.withdrawn, "a provider was called after the withdrawal was confirmed"
        assert (anchor.status in ("booked", "open"), anchor.revision) == (True, delivery.revision)
        assert Job.objects.get(pk=delivery.pk).state == "running", "a provider was called for a job that is over"
        event, answer = self.at_provider, self.answer
        self.at_provider, self.answer = "nothing", "accepted"
        if answer in ("accepted", "answer lost"):
            self.accepted[idempotency_key] += 1
        self.happen(event, delivery)
        wrong = {"busy": Busy("451"), "refused": Refused("550"), "unknown": Unknown("?"), "answer lost": Unknown("?")}
        wrong |= {"broken": RuntimeError("nobody thought of this"), "killed": Killed()}  # type: ignore[dict-item]
        if answer in wrong:
            raise wrong[answer]
        return Receipt("accepted")

    # --- What happens ---

    def happen(self, event: str, delivery: Delivery | None = None) -> None:
        pks = [str(delivery.pk)] if delivery else []
        before = set(map(str, Delivery.objects.filter(state="planned").values_list("pk", flat=True)))
        with suppress(bookings.NotOpen):
            self.events(delivery)[event]()
        rows = {str(pk): state for pk, state in Delivery.objects.values_list("pk", "state")}
        self.withdrawn |= {pk for pk in {*before, *pks} if rows[pk] == "skipped"}
        self.withdrawn -= {pk for pk, state in rows.items() if state == "planned"}

    def events(self, delivery: Delivery | None) -> dict[str, Callable[[], Any]]:
        booking, payment = Booking.objects.get(pk=self.booking.pk), Payment.objects.get(pk=self.payment.pk)
        ids = (
            [delivery.pk]
            if delivery
            else list(Delivery.objects.filter(state__in=OPEN).values_list("pk", flat=True))[:1]
        )
        return {
            "nothing": lambda: None,
            "cancel": lambda: bookings.cancel(booking),
            "move": lambda: bookings.reschedule(
                booking, starts_at=booking.starts_at + HOUR, ends_at=booking.ends_at + HOUR
            ),
            "pay": lambda: payments.mark_paid(payment),
            "postpone": lambda: payments.postpone(payment, payment.due_on + DAY),
            "rule off": lambda: self.switch(False),
            "rule on": lambda: self.switch(True),
            "no address": lambda: self.address(""),
            "address": lambda: self.address("alice@example.com"),
            "stop job": lambda: ledger.cancel(ids, "olga said so"),
            "withdraw": lambda: reconciler.withdraw(ids, "olga"),
            "resend": self.resend,
            "reconcile": lambda: list(reconciler.reconcile()),
            "settle": reconciler.settle,
            "flush": self.flush,
            "lease over": self.leases_end,
            "lease over and again": lambda: self.leases_end(again=True),
            "killed": self.die,
        }

    @rule(event=st.sampled_from([*EVENTS[2:-1], "address", "resend", "reconcile", "settle", "flush"]))
    def something_happens(self, event: str) -> None:
        self.happen(event)

    def resend(self) -> None:
        refused = Delivery.objects.filter(state__in=["refused", "skipped"])
        for pk in refused.values_list("pk", flat=True):
            Delivery.objects.filter(pk=pk).update(send_at=timezone.now())
            if reconciler.resend([pk], "olga"):
                self.sent_again.add(pk)

    def switch(self, on: bool) -> None:
        ReminderRule.objects.filter(pk__in=self.few).update(active=on)
        list(reconciler.reconcile())

    def address(self, email: str) -> None:
        Customer.objects.update(email=email)
        reconciler.replan(Customer.objects.get())

    def flush(self) -> None:
        """The broker loses its messages, and the next tick notices."""
        self.messages.clear()
        ledger.release(Job.objects.filter(state="queued"))

    def leases_end(self, again: bool = False) -> None:
        """Of those that are dead, and of those that are only slow. `again`: another worker is at it at once."""
        Job.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
        rescuer.rescue_lost()
        if again:
            self.tick()
            while self.messages:
                self.run(self.messages.pop())

    def die(self) -> None:
        raise Killed

    # --- What holds after every step ---

    @invariant()
    def the_rows_tell_what_the_provider_knows(self) -> None:
        for pk, state in Delivery.objects.values_list("pk", "state"):
            accepted = self.accepted[str(pk)]
            assert accepted <= 1, "delivered twice"
            assert state != "sent" or accepted == 1, "sent, and nobody has it"
            assert state not in ("refused", "skipped", "planned") or not accepted, f"{state}, and it was delivered"

    @invariant()
    def nothing_is_planned_for_what_is_off(self) -> None:
        wanted = {"booking": Booking.objects.filter(status="booked"), "payment": Payment.objects.filter(status="open")}
        for name, anchors in wanted.items():
            planned = Delivery.objects.filter(state="planned", **{f"{name}__isnull": False})
            planned = planned.exclude(pk__in=self.sent_again)
            assert not planned.exclude(**{f"{name}__in": anchors}).exists()
            assert not planned.exclude(revision=F(f"{name}__revision")).exists()

    # --- In the end ---

    def teardown(self) -> None:
        """The faults are over: every reminder that was to go out has an end, and it is the right one."""
        try:
            self.switch(True)
            meant = set(Delivery.objects.filter(state="planned").values_list("pk", flat=True)) - self.sent_again
            for _ in range(3):
                for pk in Delivery.objects.filter(state="planned").values_list("pk", flat=True):
                    self.due(pk)
                self.leases_end(again=True)
                reconciler.settle()
            assert not Delivery.objects.filter(state__in=OPEN).exists(), "never comes to rest"
            assert not Job.objects.unfinished().exists(), "a job never comes to rest"
            ended = dict(Delivery.objects.filter(pk__in=meant).values_list("pk", "reason"))
            assert set(ended.values()) <= {"", "no_address", "job_cancelled"}, f"given up: {ended}"
            self.the_rows_tell_what_the_provider_knows()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)


real_render = rendering.render


def test_no_order_of_events_loses_doubles_or_mistakes_a_reminder(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Machine(DeliveryMachine):
        def __init__(self) -> None:
            super().__init__()
            monkeypatch.setattr(rendering, "render", self.render)
            monkeypatch.setitem(CHANNELS, "email", self.send)

    Machine.worker = worker
    Machine.TestCase.settings = PROFILE
    stateful.run_state_machine_as_test(Machine, settings=PROFILE)
