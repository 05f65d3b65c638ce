"""What means the same is the same, however it is written: a STOP, a domain, a time; and what calendars may be told."""

from email import message_from_bytes
from typing import Any

import pytest

from notifications import bookings, consent, invitations, zones
from notifications.callbacks.record import Event, record
from notifications.channels import email
from notifications.channels.base import Message
from notifications.models import Booking, Customer, ZoneDatabase
from tests.factories import DAY, HOUR, alice, make_booking

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *[(text, "stop") for text in ("Opt out", "opt-out.", "STOP ALL", "ARRÊT", "STOP 🛑", "“Stop”")],
        *[(text, "") for text in ("please don't stop", "stop 1", "🛑", "", "I'll stop by at five")],
        ("Start!", "start"),
    ],
)
def test_a_word_is_heard_however_it_is_written(text: str, meant: str) -> None:
    """OPT OUT, which US carriers ask for in two words, was a letter like any other."""
    assert consent.keyword(text) == meant


@pytest.mark.parametrize("has", ["anna@bücher.de", "Anna@Bücher.de", "anna@xn--bcher-kva.de"])
@pytest.mark.parametrize("told", ["anna@xn--bcher-kva.de", "ANNA@XN--BCHER-KVA.DE", "anna@bücher.de"])
def test_a_domain_is_one_however_it_is_spelled(has: str, told: str) -> None:
    """Providers say xn--..., and the address that had complained was written to as before."""
    customer = alice(email=has)
    booking = make_booking(customer)
    record(Event("acme", "1", "complained", suppress="complaint", channel="email", address=told))
    assert {(one.state, one.reason) for one in booking.deliveries.all()} == {("skipped", "suppressed")}
    assert list(consent.having("email", told)) == [customer]
    assert consent.lift("email", has)


@pytest.mark.parametrize("address", ["", "nobody", "a@xn--\xff.de", "a@" + "ü" * 70 + ".de"])
def test_what_has_no_other_spelling_stays(address: str) -> None:
    assert consent.normalised("email", address) == address.lower()


def test_moved_to_where_it_is_nothing_has_moved() -> None:
    """A calendar that hands over the same time every hour sent "your booking was moved" each time."""
    booking = make_booking(alice())
    bookings.confirm(booking)
    before = set(booking.deliveries.values_list("pk", "state"))
    receipt = bookings.reschedule(booking, starts_at=booking.starts_at, ends_at=booking.ends_at)
    assert (booking.revision, booking.moved_at, booking.confirmed_at is None) == (1, None, False)
    assert (receipt.planned, receipt.cancelled) == ([], [])
    assert set(booking.deliveries.values_list("pk", "state")) == before
    bookings.reschedule(booking, starts_at=booking.starts_at + HOUR, ends_at=booking.ends_at + HOUR)
    assert (booking.revision, booking.confirmed_at) == (2, None)


@pytest.mark.parametrize(("invites", "attendees"), [(False, 0), (True, 1)], ids=["publish", "request"])
def test_what_is_only_published_invites_nobody_and_has_one_charset(invites: bool, attendees: int) -> None:
    booking = make_booking(alice(), service="Haarschnitt, kurz; 😀")
    entry = invitations.entry(booking, "salon@example.com", invites=invites, now=booking.created_at)
    assert entry.content.count(b"ATTENDEE") == attendees
    sent = email._mail(Message("a@example.com", "s", "t", attachments=(entry,)), "key").message().as_bytes()
    (part,) = [one for one in message_from_bytes(sent).walk() if one.get_content_type() == "text/calendar"]
    assert str(part["Content-Type"]).count("charset") == 1
    assert part.get_param("method") == ("REQUEST" if invites else "PUBLISH")
    content: Any = part.get_payload(decode=True)
    assert content.replace(b"\r\n", b"\n") == entry.content.replace(b"\r\n", b"\n")


def test_an_entry_that_a_zone_database_moves_has_a_higher_number() -> None:
    """Calendars have the moment and not the wall's time; under the old number they keep what they have."""
    booking = make_booking(alice(), starts=30 * DAY)
    Booking.objects.filter(pk=booking.pk).update(starts_at=booking.starts_at + HOUR, ends_at=booking.ends_at + HOUR)
    ZoneDatabase.objects.all().delete()
    assert zones.refresh() == 1
    assert (Booking.objects.get(pk=booking.pk).sequence, Customer.objects.count()) == (1, 1)
