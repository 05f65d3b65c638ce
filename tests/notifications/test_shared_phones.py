"""START from a telephone that several customers share takes back the STOP, and gives nobody's consent."""

import pytest

from notifications import consent
from notifications.consent import Source
from notifications.models import Consent, ConsentEvent, Customer, Suppression
from tests.factories import alice, bob, make_booking

pytestmark = pytest.mark.django_db
PHONE = "+4930123456"


def says(word: str) -> None:
    {"STOP": consent.stop, "START": consent.start}[word]("sms", PHONE, actor="twilio", evidence=word)


def answer(customer: Customer) -> bool | None:
    return Consent.objects.filter(customer=customer, channel="sms").values_list("granted", flat=True).first()


def asked(customer: Customer, granted: bool) -> Customer:
    consent.record(customer, "sms", granted, source=Source.FORM, actor="olga", evidence="signed")
    return customer


def test_each_is_as_before_the_stop() -> None:
    silent, willing = alice(phone=PHONE), asked(bob(phone=PHONE), True)
    unwilling = asked(alice(phone=PHONE, email="third@example.com"), False)
    for word in ("STOP", "STOP", "START", "STOP", "START"):
        says(word)
    assert [answer(one) for one in (silent, willing, unwilling)] == [None, True, False]
    assert not Suppression.objects.exists()


def test_the_story_tells_that_it_was_taken_back() -> None:
    silent, _ = alice(phone=PHONE), bob(phone=PHONE)
    says("STOP")
    says("START")
    story = ConsentEvent.objects.filter(customer=silent).order_by("pk").values_list("granted", "evidence")
    assert list(story) == [(False, "STOP"), (None, "START")]
    assert str(ConsentEvent.objects.filter(customer=silent)[0])


def test_a_no_of_another_way_after_the_stop_stays() -> None:
    customer, _ = alice(phone=PHONE), bob(phone=PHONE)
    says("STOP")
    asked(customer, False)
    says("START")
    assert answer(customer) is False


def test_a_start_without_a_stop_gives_nobodys_consent(settings) -> None:
    settings.OPT_IN_CHANNELS = ["sms"]
    people = [alice(phone=PHONE), bob(phone=PHONE)]
    says("START")
    assert [answer(one) for one in people] == [None, None]
    assert not ConsentEvent.objects.exists()


def test_of_one_customer_it_is_a_yes() -> None:
    customer = asked(alice(phone=PHONE), False)
    make_booking(customer)
    says("START")
    assert answer(customer) is True
