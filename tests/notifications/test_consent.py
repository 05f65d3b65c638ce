"""Who does not want a message gets none, and it is known who said so, when and how."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from notifications import consent, links
from notifications.consent import Cause, Source
from notifications.models import Consent, ConsentEvent, Customer, Suppression
from tests.factories import alice, bob, make_booking

pytestmark = pytest.mark.django_db

NO: dict[str, Any] = {"source": Source.FORM, "actor": "olga"}


def said(customer: Customer, channel: str = "email") -> bool | None:
    row = Consent.objects.filter(customer=customer, channel=channel).first()
    return row.granted if row else None


def test_what_was_said_is_kept_with_its_evidence() -> None:
    customer = alice()
    consent.record(customer, "email", False, **NO, evidence="told us on the phone")
    consent.record(customer, "email", True, **NO, evidence="signed the form")
    assert said(customer) is True
    story = [(event.granted, event.evidence) for event in ConsentEvent.objects.order_by("pk")]
    assert story == [(False, "told us on the phone"), (True, "signed the form")]


@pytest.mark.parametrize("wrong", [{"channel": "pigeon"}, {"source": "rumour"}])
def test_a_channel_or_source_that_is_not_known_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        consent.record(alice(), **{"channel": "email", "granted": True, **NO} | wrong)
    assert not ConsentEvent.objects.exists()


def test_an_address_is_suppressed_once_and_whoever_has_it() -> None:
    assert consent.suppress("email", " Alice@Example.com ", Cause.BOUNCE, "550 no such user") is True
    assert consent.suppress("email", "alice@example.com", Cause.COMPLAINT) is False
    row = Suppression.objects.get()
    assert (row.address, row.cause, row.detail) == ("alice@example.com", "bounce", "550 no such user")
    customer = alice(email="Alice@example.COM")
    assert list(consent.having("email", "ALICE@example.com")) == [customer]


def test_nothing_has_no_address() -> None:
    with pytest.raises(ValueError, match="empty address"):
        consent.suppress("sms", " ", Cause.STOP)


def test_stop_counts_for_all_who_share_a_telephone() -> None:
    people = [alice(phone="+4930123456"), bob(phone="+4930123456")]
    assert consent.stop("sms", "+4930123456", actor="twilio", evidence="STOP") == 2
    assert [said(person, "sms") for person in people] == [False, False]
    assert Suppression.objects.get().cause == "stop"
    assert consent.start("sms", "+4930123456", actor="twilio", evidence="START") == 2
    assert [said(person, "sms") for person in people] == [None, None]
    assert not Suppression.objects.exists()
    assert not Suppression.objects.exists()


def test_start_does_not_make_a_dead_number_live() -> None:
    alice(phone="+4930123456")
    consent.suppress("sms", "+4930123456", Cause.BLOCKED)
    consent.start("sms", "+4930123456", actor="twilio")
    assert Suppression.objects.get().cause == "blocked"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("STOP", "stop"),
        (" stop. ", "stop"),
        ("Stop-All", "stop"),
        ("Unsubscribe!", "stop"),
        ("start", "start"),
        ("please don't stop", ""),
        ("I cannot come, cancel my booking", ""),
        ("", ""),
        ("\u202estop", ""),
    ],
)
def test_only_a_word_alone_is_a_command(text: str, meant: str) -> None:
    assert consent.keyword(text) == meant


# --- The page behind the link --------------------------------------------------------------------------


def page(customer: Customer) -> str:
    return links.unsubscribe_url(customer, "email").removeprefix("http://127.0.0.1:8000")


def test_opening_the_link_changes_nothing(client: Client) -> None:
    customer = alice()
    for _ in range(2):  # a mail scanner, and a person
        answer = client.get(page(customer))
        assert answer.status_code == 200 and b"Stop these reminders?" in answer.content
    assert client.head(page(customer)).status_code == 200
    assert said(customer) is None
    assert answer["Referrer-Policy"] == "no-referrer" and "no-store" in answer["Cache-Control"]


def test_the_button_on_the_page_stops_and_there_is_a_way_back(client: Client) -> None:
    customer = alice()
    assert b"You get no more reminders" in client.post(page(customer), {"stop": "yes"}).content
    assert said(customer) is False
    assert ConsentEvent.objects.get().source == "unsubscribe_link"
    client.post(page(customer), {"again": "yes"})
    assert said(customer) is True


def test_a_mail_program_unsubscribes_with_one_click_and_no_cookie() -> None:
    customer = alice()
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(page(customer), {"List-Unsubscribe": "One-Click"}, headers={"user-agent": "MailBot/1.0"})
    assert (answer.status_code, said(customer)) == (200, False)
    event = ConsentEvent.objects.get()
    assert (event.source, "MailBot/1.0" in event.evidence) == ("one_click", True)


def test_the_link_works_after_the_key_was_changed(client: Client, settings: LazySettings) -> None:
    customer = alice()
    link = page(customer)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "n" * 60
    assert client.post(link).status_code == 200 and said(customer) is False


def test_a_link_that_was_changed_or_is_for_something_else_does_nothing(client: Client) -> None:
    customer = alice()
    booking = make_booking(customer)
    confirm = links.confirm_url(booking).rsplit("/", 1)[1]
    for token in ("x", page(customer).rsplit("/", 1)[1][:-1], confirm):
        answer = client.post(f"/unsubscribe/{token}")
        assert answer.status_code == 404 and b"does not work" in answer.content
    assert said(customer) is None


def test_a_customer_who_is_gone_is_told_so(client: Client) -> None:
    customer = alice()
    link = page(customer)
    customer.delete()
    assert client.post(link).status_code == 404


def test_the_page_speaks_no_other_method(client: Client) -> None:
    assert client.delete(page(alice())).status_code == 405


# --- Confirming ----------------------------------------------------------------------------------------


def test_a_customer_confirms_with_the_link_of_the_message(client: Client) -> None:
    booking = make_booking(alice())
    link = links.confirm_url(booking)
    assert b"Will you come?" in client.get(link).content
    booking.refresh_from_db()
    assert booking.confirmed_at is None
    assert b"Thank you" in client.post(link).content
    booking.refresh_from_db()
    assert booking.confirmed_at is not None


def test_a_link_of_before_the_move_confirms_nothing(client: Client) -> None:
    booking = make_booking(alice())
    link = links.confirm_url(booking)
    type(booking).objects.filter(pk=booking.pk).update(revision=2)
    answer = client.post(link)
    assert answer.status_code == 409 and b"has changed" in answer.content
    booking.refresh_from_db()
    assert booking.confirmed_at is None
