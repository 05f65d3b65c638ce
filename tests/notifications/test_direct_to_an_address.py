"""A message to a bare address goes past no customer's word: theirs it may be all the same."""

from typing import Any

import pytest
from django.core import mail

from notifications import consent, direct, direct_sending
from notifications.direct import Wanted
from notifications.models import Customer, DirectMessage, Suppression
from tests.factories import alice
from tests.notifications.writing_direct import OLGA, became

pytestmark = pytest.mark.django_db
PHONE = "+4915112345678"


def to(channel: str, address: str) -> DirectMessage:
    said = {
        "channel": channel,
        "address": address,
        "text": "It rains.",
        "subject": "Rain" if channel == "email" else "",
    }
    return direct.write(Wanted.model_validate(said), OLGA)


def says_no(customer: Customer, channel: str) -> Customer:
    consent.record(customer, channel, False, source="unsubscribe_link", actor="the customer")
    return customer


@pytest.mark.parametrize(("channel", "address"), [("email", "ALICE@example.com"), ("sms", PHONE)], ids=["email", "sms"])
def test_who_unsubscribed_is_not_written_to_by_their_address(worker: Any, channel: str, address: str) -> None:
    """They were: their "no" is a customer's, and this message was of nobody."""
    says_no(alice(phone=PHONE), channel)
    message = to(channel, address)
    worker.run_due()
    assert became(message) == ("skipped", "opted_out")


def test_of_two_who_share_an_address_one_no_is_enough(worker: Any) -> None:
    says_no(alice(), "email")
    alice(name="Her mother")
    message = to("email", "alice@example.com")
    worker.run_due()
    assert became(message) == ("skipped", "opted_out")


def test_another_tenants_customer_has_said_nothing_here(worker: Any) -> None:
    """A no to one business tells the other neither that there is such a customer."""
    says_no(alice(tenant="north"), "email")
    says_no(alice(email="carol@example.com"), "email")
    says_no(alice(), "sms")
    message = to("email", "alice@example.com")
    worker.run_due()
    assert (became(message), len(mail.outbox)) == (("sent", ""), 1)


def test_an_address_that_is_barred_while_the_fence_is_asked(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement decides; it was two, and a STOP between them was not heard."""
    message = to("email", "carol@example.com")
    real = direct_sending._conditions

    def late(*said: Any) -> Any:
        conditions = real(*said)
        Suppression.objects.get_or_create(channel="email", address="carol@example.com", cause="stop")
        return conditions

    monkeypatch.setattr(direct_sending, "_conditions", late)
    worker.run_due()
    assert (became(message), mail.outbox) == (("skipped", "suppressed"), [])
