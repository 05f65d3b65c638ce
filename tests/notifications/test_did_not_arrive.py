"""What a provider took and could not bring: the next channel takes over, once, and not for what arrived."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from notifications import bookings
from notifications.channels.base import Receipt, Unknown
from notifications.models import Delivery, ReminderRule, Suppression
from tests.conftest import InProcessWorker
from tests.factories import DAY, alice, make_booking, make_payment
from tests.notifications.providers import Provider, Providers, booking_of, providers as providers, put, reload
from tests.notifications.reminding import due_now, first
from tests.notifications.telling import PHONE, SECRET, TOKEN, a_message, generic, status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _configured(settings: Any, providers: Providers) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET
    ReminderRule.objects.update(channels=["sms", "email", "webhook"])


@pytest.fixture
def sent(worker: InProcessWorker) -> Delivery:
    hook = "https://example.com/hook"
    delivery = due_now(first(make_booking(alice(phone=PHONE, webhook_url=hook))))
    worker.run_due()
    assert reload(delivery) == [("sent", "")]
    return delivery


def chain(delivery: Delivery) -> list[tuple[str, str]]:
    """What goes instead of it, and instead of that: (channel, state)."""
    found = list(Delivery.objects.filter(fallback_of=delivery))
    return [step for one in found for step in [(one.channel, one.state), *chain(one)]]


@pytest.mark.parametrize(("word", "code"), [("undelivered", ""), ("failed", ""), ("undelivered", "30005")])
def test_a_text_that_fails_later_is_followed_by_a_mail(client: Client, worker, sent, word: str, code: str) -> None:
    status(client, sent.pk, word, code)
    assert chain(sent) == [("email", "planned")]
    worker.run_due()
    assert chain(sent) == [("email", "sent")]
    assert reload(sent) == [("sent", "")]


def test_a_failure_told_in_many_ways_is_followed_once(client: Client, worker, sent) -> None:
    for word, code in [("undelivered", ""), ("undelivered", ""), ("failed", ""), ("failed", "30005")]:
        status(client, sent.pk, word, code)
    generic(client, "bounced", delivery=str(sent.pk))
    assert chain(sent) == [("email", "planned")]
    worker.run_due()
    generic(client, "bounced", "e-2", delivery=str(sent.pk))
    assert chain(sent) == [("email", "sent")]
    assert sent.outcome in ("", "failed") and Delivery.objects.get(pk=sent.pk).outcome == "bounced"


def test_each_that_fails_is_followed_by_the_next_until_there_is_none(client: Client, worker, sent) -> None:
    last = sent
    for n in range(3):
        generic(client, "failed", f"f-{n}", delivery=str(last.pk))
        worker.run_due()
        last = Delivery.objects.filter(fallback_of=last).first() or last
    assert chain(sent) == [("email", "sent"), ("webhook", "sent")]


@pytest.mark.parametrize("told", ["delivered", "complained"])
def test_what_has_arrived_is_not_said_again(client: Client, sent, told: str) -> None:
    generic(client, told, delivery=str(sent.pk))
    status(client, sent.pk, "undelivered")
    assert chain(sent) == []


@pytest.mark.parametrize("over", ["cancelled", "moved", "of no use", "rule off"])
def test_what_nobody_needs_any_more_goes_by_no_other_channel(client: Client, sent, over: str) -> None:
    booking = booking_of(sent)
    if over == "cancelled":
        bookings.cancel(booking)
    elif over == "moved":
        bookings.reschedule(booking, starts_at=booking.starts_at + 3 * DAY, ends_at=booking.ends_at + 3 * DAY)
    elif over == "rule off":
        ReminderRule.objects.update(active=False)
    else:
        Delivery.objects.filter(pk=sent.pk).update(useful_until=timezone.now())
    status(client, sent.pk, "undelivered")
    assert chain(sent) == []
    assert Delivery.objects.get(pk=sent.pk).outcome == "failed"


def test_a_failure_that_overtakes_the_answer_counts_too(client: Client, worker) -> None:
    class Slow(Provider):
        def __call__(self, message: Any, *, idempotency_key: str) -> Receipt:
            status(client, idempotency_key, "undelivered", sid="id-1")
            return super().__call__(message, idempotency_key=idempotency_key)

    put("sms", Slow())
    delivery = due_now(first(make_booking(alice(phone=PHONE))))
    worker.run_due()
    worker.run_due()
    assert reload(delivery) == [("sent", "")]
    assert chain(delivery) == [("email", "sent")]


def test_not_while_another_attempt_may_have_been_taken(client: Client, worker, providers, settings) -> None:
    settings.CHANNEL_POLICIES = {"sms": "resend"}
    providers["sms"].answers = [Unknown("timeout")]
    delivery = due_now(first(make_booking(alice(phone=PHONE))))
    worker.run_due()
    due_now(delivery)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.doubts) == ("sent", 1)
    status(client, delivery.pk, "undelivered", sid=delivery.provider_id)
    assert chain(delivery) == []


def test_all_that_a_digest_said_goes_on(client: Client, worker, providers: Providers) -> None:
    rule = ReminderRule.objects.get(name="On the day a payment is due")
    ReminderRule.objects.exclude(pk=rule.pk).delete()
    ReminderRule.objects.update(digest=True, per_day=1)
    customer = alice(phone=PHONE)
    for subject in ("Rent", "Water"):
        due_now(make_payment(customer, subject=subject).deliveries.get())
    worker.run_due()
    lead = Delivery.objects.get(state="sent")
    status(client, lead.pk, "undelivered", sid=lead.provider_id)
    worker.run_due()
    assert len(providers["sms"].taken) == 1
    ((_, text),) = providers["email"].taken  # a digest again, though one message a day is the most
    assert "Rent" in text and "Water" in text


@pytest.mark.parametrize("kind", ["bounced", "complained"])
def test_an_event_that_names_only_the_message_bars_the_address_it_went_to(client: Client, sent, kind: str) -> None:
    generic(client, kind, delivery=str(sent.pk))
    cause = {"bounced": "bounce", "complained": "complaint"}[kind]
    assert list(Suppression.objects.values_list("channel", "address", "cause")) == [("sms", PHONE, cause)]


def test_one_that_names_a_message_to_an_address_bars_that(client: Client) -> None:
    generic(client, "bounced", delivery=str(a_message().pk))
    assert Suppression.objects.get().address == PHONE


def test_one_that_names_nothing_we_know_bars_nothing(client: Client) -> None:
    assert generic(client, "bounced", delivery="unknown", channel="sms") == 204
    assert not Suppression.objects.exists()
