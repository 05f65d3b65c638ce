"""What happens while a message to many goes out: a stop, another channel, another time, and calling it off."""

from unittest.mock import patch

import pytest
from django.utils import timezone

from jobs import dispatcher
from jobs.models import Job
from notifications import bookings, bulk, consent
from notifications.channels.base import Refused
from notifications.models import Booking, Delivery
from notifications.why import asked, why
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, alice, bob
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.writing_to_many import Kind, booked, clinic, kept, messages, start, words

pytestmark = pytest.mark.django_db


def test_who_says_stop_between_preview_and_sending_gets_nothing_and_the_reason_is_kept(
    worker: InProcessWorker, providers: Providers
) -> None:
    booking = booked(alice(email="", phone="+4915112345678"))
    seen = bulk.preview(clinic(), Kind.MESSAGE, message=words())
    assert seen.message and dict(seen.message.channels) == {"SMS": 1} and not seen.message.reasons
    change = start()
    dispatcher.dispatch_due()
    worker.run_all()  # it is planned,
    consent.stop("sms", "+4915112345678", actor="alice", evidence="STOP")  # and then she says so
    worker.drain()
    assert not providers["sms"].taken
    assert messages(change) == {"Alice Ähre": ("sms", "skipped", "suppressed")}
    assert any("said STOP" in answer.text for answer in why(asked(Booking).get(pk=booking.pk)) if answer.delivery)


@pytest.mark.parametrize("kind", ["message", "cancel"])
def test_an_opt_out_past_the_application_is_met_by_the_fence(
    worker: InProcessWorker, providers: Providers, kind: str
) -> None:
    customer = alice()
    booked(customer)
    change = start(kind)
    dispatcher.dispatch_due()
    worker.run_all()
    customer.consents.create(channel="email", granted=False)
    worker.drain()
    assert not providers["email"].taken
    assert messages(change) == {"Alice Ähre": ("email", "skipped", "opted_out")}


def test_who_refuses_a_channel_while_it_waits_is_told_by_the_next(worker: InProcessWorker) -> None:
    customer = alice(phone="+4915112345678")
    booked(customer)
    change = start("cancel")
    worker.run_due()
    consent.record(customer, "email", False, source="form", actor="alice")
    rows = Delivery.objects.filter(bulk=change).order_by("pk")
    assert list(rows.values_list("channel", "state", "reason")) == [
        ("email", "skipped", "opted_out"),
        ("sms", "planned", ""),
    ]


def test_a_channel_that_refuses_hands_over_to_the_next(worker: InProcessWorker, providers: Providers) -> None:
    booked(alice(phone="+4915112345678"))
    providers["email"].answers = [Refused("no such mailbox")]
    change = start()
    worker.drain()
    assert messages(change) == {"Alice Ähre": ("sms", "sent", "")}
    assert Delivery.objects.filter(bulk=change).count() == 2 and kept() == set()


@pytest.mark.parametrize(("what", "reason"), [("cancel", "cancelled"), ("move", "rescheduled")])
def test_a_booking_that_changes_meanwhile_is_not_written_about(
    worker: InProcessWorker, providers: Providers, what: str, reason: str
) -> None:
    booking = booked(alice())
    change = start()
    worker.run_due()
    if what == "cancel":
        bookings.cancel(booking)
    else:
        bookings.reschedule(booking, starts_at=booking.starts_at + DAY, ends_at=booking.ends_at + DAY)
    assert messages(change) == {"Alice Ähre": ("email", "skipped", reason)}
    worker.drain()
    assert not providers["email"].taken


def test_called_off_what_has_not_gone_out_is_withdrawn(
    worker: InProcessWorker, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    for number in range(5):
        booked(bob(name=f"B{number}", email=f"b{number}@example.com"))
    change = start("cancel")
    bulk._chunk(change.pk)
    first = Delivery.objects.filter(bulk=change).order_by("pk").first()
    assert first
    Job.objects.exclude(pk=first.pk).filter(task="notifications.deliver").update(run_at=timezone.now() + HOUR)
    Job.objects.filter(task="notifications.bulk").update(run_at=timezone.now() + HOUR)
    worker.run_due()
    assert bulk.call_off(change, actor="olga") and not bulk.call_off(change, actor="otto")
    worker.drain()
    assert sorted(messages(change).values()) == [("email", "sent", ""), ("email", "skipped", "called_off")][::1]
    assert bulk._chunk(change.pk)[1] is False
    assert Booking.objects.filter(status="booked").count() == 3  # what was not reached is left alone
    change.refresh_from_db()
    assert change.cancelled_by == "olga" and kept() == set()
    withdrawn = Delivery.objects.filter(bulk=change, state="skipped").values("pk")
    assert set(Job.objects.filter(pk__in=withdrawn).values_list("state", flat=True)) == {"cancelled"}


def test_called_off_nothing_passes_the_fence_before_the_accounts_are_done(
    worker: InProcessWorker, providers: Providers
) -> None:
    booked(alice())
    change = start()
    worker.run_due()
    bulk.call_off(change, actor="olga")
    with patch("notifications.bulk.withdraw.run", return_value={}):
        worker.drain()
    assert not providers["email"].taken
    assert messages(change) == {"Alice Ähre": ("email", "skipped", "called_off")}
