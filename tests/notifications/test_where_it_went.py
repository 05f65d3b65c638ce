"""A bounce is about the address that the message went to, which need not be the customer's any more."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from jobs.library.people import Person
from jobs.models import Job
from notifications import destinations, direct, forgetting
from notifications.channels.base import Unknown
from notifications.models import Customer, Delivery, DirectMessage, ReminderRule, Suppression
from tests.conftest import InProcessWorker
from tests.factories import alice, make_booking
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.reminding import due_now, first
from tests.notifications.telling import PHONE, SECRET, TOKEN, generic, twilio

pytestmark = pytest.mark.django_db
NEW = "+4915187654321"


@pytest.fixture(autouse=True)
def _configured(settings: Any, providers: Providers) -> None:
    settings.TWILIO_AUTH_TOKEN, settings.CALLBACK_SECRET = TOKEN, SECRET
    ReminderRule.objects.update(channels=["sms"])


def a_reminder() -> Delivery:
    return due_now(first(make_booking(alice(phone=PHONE))))


def a_direct_message() -> DirectMessage:
    wanted = direct.Wanted(channel="sms", customer=alice(phone=PHONE).pk, text="It rains")  # type: ignore[arg-type]
    return direct.write(wanted, Person("olga", lambda permission: True))


MESSAGES = pytest.mark.parametrize("written", [a_reminder, a_direct_message])


def moved(number: str = NEW) -> None:
    Customer.objects.update(phone=number)


def barred() -> list[str]:
    return list(Suppression.objects.values_list("address", flat=True))


@MESSAGES
@pytest.mark.parametrize("kind", ["bounced", "complained"])
def test_a_late_bounce_does_not_bar_the_new_address(client: Client, worker, written: Any, kind: str) -> None:
    message = written()
    worker.run_due()
    moved()
    assert generic(client, kind, delivery=str(message.pk)) == 204
    message.refresh_from_db()
    assert (message.state, message.outcome, barred()) == ("sent", kind, [])


@MESSAGES
def test_nor_does_one_of_a_provider_that_names_no_number(client: Client, worker, written: Any) -> None:
    message = written()
    worker.run_due()
    moved()
    said = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30005"}
    assert twilio(client, f"status/{message.pk}/", **said) == 204
    assert barred() == []


@MESSAGES
def test_a_bounce_that_names_its_address_bars_that_one(client: Client, worker, written: Any) -> None:
    message = written()
    worker.run_due()
    moved()
    generic(client, "bounced", delivery=str(message.pk), address=PHONE)  # the channel is the message's
    assert barred() == [PHONE]


@MESSAGES
def test_it_bars_the_address_that_the_customer_still_has(client: Client, worker, written: Any, settings: Any) -> None:
    message = written()
    worker.run_due()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 60
    generic(client, "bounced", delivery=str(message.pk))
    assert barred() == [PHONE]


@MESSAGES
def test_of_attempts_to_two_addresses_nobody_knows_which_is_meant(
    client: Client, worker, written: Any, providers: Providers, settings: Any
) -> None:
    settings.CHANNEL_POLICIES = {"sms": "resend"}
    providers["sms"].answers = [Unknown("timeout")]
    message = written()
    worker.run_due()
    moved()
    _again(worker, message)
    message.refresh_from_db()
    assert (message.state, message.doubts, message.sent_to) == ("sent", 1, destinations.SEVERAL)
    generic(client, "bounced", delivery=str(message.pk))
    assert barred() == []


@MESSAGES
def test_what_was_sent_by_an_older_version_may_have_gone_there(client: Client, worker, written: Any) -> None:
    message = written()
    worker.run_due()
    type(message).objects.update(sent_to="")
    generic(client, "bounced", delivery=str(message.pk))
    assert barred() == [PHONE]


def test_the_code_of_an_address_is_the_same_however_it_is_written_and_tells_nothing() -> None:
    assert destinations.code("email", "Alice@BÜCHER.example") == destinations.code(
        "email", "alice@xn--bcher-kva.example"
    )
    assert destinations.code("sms", PHONE) != destinations.code("sms", PHONE, "another secret")


@MESSAGES
def test_it_is_forgotten_with_the_customer(worker: InProcessWorker, written: Any) -> None:
    message = written()
    worker.run_due()
    message.refresh_from_db()
    assert len(message.sent_to) == destinations.LENGTH
    forgetting._forget_words(list(Customer.objects.values_list("pk", flat=True)))
    message.refresh_from_db()
    assert message.sent_to == ""


def _again(worker: InProcessWorker, message: Delivery | DirectMessage) -> None:
    """It has backed off; now it is its turn once more."""
    Job.objects.filter(pk=message.pk).update(run_at=timezone.now() - timedelta(seconds=5))
    worker.run_due()
