"""What a message to many says and whom it would reach; nonsense is refused before anything happens."""

from datetime import timedelta
from typing import Any

import pytest

from jobs.models import Job
from notifications import bulk
from notifications.models import Booking, BulkChange, Customer, Delivery, InboxItem, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import alice, bob
from tests.notifications.providers import Providers, providers as providers
from tests.notifications.writing_to_many import Kind, booked, clinic, start, words

pytestmark = pytest.mark.django_db


def test_the_preview_tells_whom_it_reaches_how_and_why_not_and_writes_nothing(db: None) -> None:
    customers = [bob(name=f"B{n}", email=f"b{n}@example.com") for n in range(4)]
    for customer in [*customers, alice(email="", phone="+4915112345678"), Customer.objects.create(name="Carol")]:
        booked(customer)
    customers[0].consents.create(channel="email", granted=False)
    before = Delivery.objects.count(), Job.objects.count()
    seen = bulk.preview(clinic(), Kind.MOVE, days=7, message=words(text="{{ starts }}"))
    assert seen.message is not None and seen.message.looked_at == seen.bookings == 6
    assert dict(seen.message.channels) == {"email": 3, "SMS": 1}
    assert dict(seen.message.reasons) == {
        "the customer does not want messages by this channel": 1,
        "the customer has no address for this channel": 1,
    }
    moved = Booking.objects.filter(customer=customers[1]).get().local_start + timedelta(days=7)
    assert [one.channel for one in seen.message.examples] == ["email"] * 3
    assert all(one.message and str(moved.day) in one.message.text for one in seen.message.examples)
    assert (Delivery.objects.count(), Job.objects.count()) == before
    assert not BulkChange.objects.exists() and not ReminderRule.objects.filter(anchor__startswith="bulk").exists()


def test_of_very_many_a_preview_looks_at_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.circulars.AT_MOST", 4)
    for _ in range(9):
        booked(Customer.objects.create(name="B", email="b@example.com"))
    seen = bulk.preview(clinic(), Kind.MESSAGE, message=words()).message
    assert seen and seen.one_in == 3 and seen.looked_at == 3


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"text": "{{ booking.shoe_size }}"}, "shoe_size"),
        ({"text": "{% if booking.confirmed %}{{ nme }}{% endif %}"}, "nme"),
        ({"text": "x{% if booking.confirmed %}{{ 5 | nosuch }}{% endif %}"}, "nosuch"),
        ({"text": " "}, "empty"),
        ({"subject": ""}, "subject: it is empty"),
        ({"subject": "one\nBcc: all@example.com"}, "one line"),
        ({"text": "x" * 200}, "text: 200 characters are 2 SMS"),
    ],
)
def test_words_that_cannot_be_said_are_refused_before_anything_happens(fields: dict[str, Any], told: str) -> None:
    booked(alice())
    jobs = Job.objects.count()
    with pytest.raises(ValueError, match=told):
        start(message=words(**fields))
    assert not BulkChange.objects.exists() and Job.objects.count() == jobs


def test_a_long_text_has_a_short_one_for_sms(worker: InProcessWorker, providers: Providers) -> None:
    booked(alice(email="", phone="+4915112345678"))
    start(message=words(text="x" * 200, sms="Closed, {{ customer.name }}"))
    worker.drain()
    assert providers["sms"].taken[0][1] == "Closed, Alice Ähre"


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": ()},
        {"channels": ("email", "email")},
        {"channels": ("pigeon",)},
        {"quiet_from": "21:00"},
        {"useful_for": timedelta(0)},
        {"colour": "red"},
    ],
)
def test_a_message_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        words(**fields)


def test_a_message_needs_words() -> None:
    with pytest.raises(ValueError, match="Say what to write"):
        bulk.start(Kind.MESSAGE, clinic(), reason="burst pipe", actor="olga")


def test_an_inbox_gets_it_too(worker: InProcessWorker) -> None:
    booked(alice(email=""))
    start(message=words(channels=("email", "inbox")))
    worker.drain()
    item = InboxItem.objects.get()
    assert item.title == "Closed" and item.metadata["kind"] == "bulk_message"


def test_an_earlier_webhook_reader_gets_data_of_the_booking(worker: InProcessWorker, providers: Providers) -> None:
    booked(alice(webhook_url="https://hooks.example.com/", webhook_secret="whsec_c2VjcmV0"))
    start("cancel", message=words(channels=("webhook",)))
    worker.drain()
    assert len(providers["webhook"].taken) == 1
