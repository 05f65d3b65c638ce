"""Who has nothing open is forgotten; what happened stays."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from jobs.ids import new_id
from jobs.models import Job
from notifications import bookings, consent, forgetting, payments
from notifications.models import (
    Booking,
    ConsentEvent,
    Customer,
    Delivery,
    DirectMessage,
    InboxItem,
    OutboxMessage,
    Payment,
    Trial,
)
from tests.factories import DAY, HOUR, alice, bob, make_booking, make_payment
from tests.library.test_clean_up import cleaned

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def roots(settings: Any, work: Path, tmp_path: Path) -> Path:
    settings.JOBS_CLEAN_ROOTS = {"work": work, "logs": tmp_path / "logs"}
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def over(customer: Customer, days: int = 400) -> Booking:
    """A booking that was so many days ago, and what was said about it."""
    booking = make_booking(customer)
    then = timezone.now() - timedelta(days=days)
    Booking.objects.filter(pk=booking.pk).update(
        starts_at=then, ends_at=then + HOUR, created_at=then - DAY, status="completed"
    )
    Delivery.objects.filter(booking=booking).update(send_at=then, state="sent", detail="taken for alice@example.com")
    return booking


def test_who_has_nothing_open_is_forgotten_and_what_happened_stays(worker: Any) -> None:
    customer = alice(phone="+4915123456789", webhook_url="https://alice.example.com", external_id="alice-1")
    booking = over(customer)
    delivery = booking.deliveries.first()
    assert delivery
    InboxItem.objects.create(customer=customer, key="k", title="Alice", body="Dear Alice")
    OutboxMessage.objects.create(channel="email", key=str(delivery.pk), to="alice@example.com", text="Dear Alice")
    consent.record(customer, "email", granted=True, source="form", actor="alice@example.com", evidence="Alice said so")
    Trial.objects.create(
        message="x", channel="email", address="me@example.com", actor="o", at=timezone.now() - 400 * DAY
    )
    LogEntry.objects.create(
        user_id=make_user(),
        content_type=ContentType.objects.get_for_model(Customer),
        object_id=str(customer.pk),
        object_repr="Alice Ähre",
        action_flag=CHANGE,
    )
    rows = Booking.objects.count(), Delivery.objects.count(), Job.objects.count(), ConsentEvent.objects.count()
    told = cleaned(worker, "personal_data", older_than=365 * DAY)
    assert told["shown"]["personal_data"][0] == f"customer {customer.pk}"
    customer.refresh_from_db()
    assert (customer.name, customer.email, str(customer.phone), customer.webhook_url, customer.external_id) == (
        forgetting.NOBODY,
        "",
        "",
        "",
        None,
    )
    assert (
        Booking.objects.count(),
        Delivery.objects.count(),
        Job.objects.count() - 1,
        ConsentEvent.objects.count(),
    ) == rows
    assert "alice" not in everything().lower()
    assert cleaned(worker, "personal_data", older_than=365 * DAY)["counts"] == {"personal_data": 0}


def make_user() -> int:
    from django.contrib.auth.models import User

    return User.objects.create_user("olga").pk


def everything() -> str:
    """All texts of all rows of the product."""
    from django.apps import apps

    models: list[Any] = [*apps.get_app_config("notifications").get_models(), LogEntry, Job]
    return "\n".join(str(row) for model in models for row in model._default_manager.values())


BUSY = {
    "a booking to come": lambda customer: make_booking(customer),
    "a booking that was lately": lambda customer: over(customer, days=100),
    "an open payment": lambda customer: make_payment(customer, due=-900 * DAY),
    "a disputed payment": lambda customer: Payment.objects.filter(pk=make_payment(customer).pk).update(
        status="disputed"
    ),
    "a message in doubt": lambda customer: Delivery.objects.filter(customer=customer).update(state="in_doubt"),
}


@pytest.mark.parametrize("why", BUSY)
def test_who_has_anything_open_is_left_alone(why: str, worker: Any) -> None:
    customer = alice()
    over(customer)
    BUSY[why](customer)
    assert cleaned(worker, "personal_data", older_than=365 * DAY)["counts"] == {"personal_data": 0}
    customer.refresh_from_db()
    assert customer.email == "alice@example.com"


def test_who_was_only_written_down_is_left_alone(worker: Any) -> None:
    bob()
    assert cleaned(worker, "personal_data", older_than=365 * DAY)["counts"] == {"personal_data": 0}


def test_who_was_only_written_to_is_forgotten_too(worker: Any) -> None:
    customer = bob()
    old = timezone.now() - 400 * DAY
    message = DirectMessage.objects.create(
        channel="email", customer=customer, text="secret", by="olga", state="sent", created_at=old, send_at=old
    )
    assert cleaned(worker, "personal_data", older_than=365 * DAY)["counts"] == {"personal_data": 1}
    message.refresh_from_db()
    customer.refresh_from_db()
    assert (message.text, customer.email) == ("", "")


def test_who_books_between_the_look_and_the_change_is_left_alone() -> None:
    customer = alice()
    over(customer)
    before = timezone.now() - 365 * DAY
    ids = list(forgetting.forgettable(before).values_list("pk", flat=True))
    starts = timezone.now() + DAY
    bookings.book(customer=customer, service="Haircut", starts_at=starts, ends_at=starts + HOUR)
    assert ids == [customer.pk] and forgetting.forget(ids, before) == 0


def test_old_deliveries_go_and_none_that_would_come_back(worker: Any) -> None:
    gone, open_payment = over(alice()), make_payment(bob(), due=-400 * DAY)
    Delivery.objects.filter(payment=open_payment).update(send_at=timezone.now() - 400 * DAY, state="sent")
    doubtful = gone.deliveries.first()
    assert doubtful
    Delivery.objects.filter(pk=doubtful.pk).update(state="in_doubt")
    expected = gone.deliveries.count() - 1
    dry = cleaned(worker, "old_deliveries", older_than=365 * DAY, dry_run=True)
    assert dry["counts"] == {"old_deliveries": expected} and expected > 0
    assert cleaned(worker, "old_deliveries", older_than=365 * DAY)["counts"] == dry["counts"]
    assert list(gone.deliveries.all()) == [doubtful]
    assert Delivery.objects.filter(payment=open_payment).exists()


def test_a_delivery_stays_with_the_one_that_took_its_place(worker: Any) -> None:
    booking = over(alice())
    first, second = booking.deliveries.all()[:2]
    Delivery.objects.filter(pk=second.pk).update(fallback_of=first, state="in_doubt")
    cleaned(worker, "old_deliveries", older_than=365 * DAY)
    assert set(booking.deliveries.all()) == {first, second}


def test_a_chain_of_fallbacks_stays_whole_while_its_last_is_in_doubt(worker: Any) -> None:
    """Deleting the first would take along what came after it, however far."""
    first, second = over(alice()).deliveries.order_by("pk")[:2]
    third = Delivery.objects.get(pk=second.pk)
    third.pk, third.channel, third.occurrence = new_id(), "sms", 7
    third.save(force_insert=True)
    Delivery.objects.filter(pk=second.pk).update(fallback_of=first)
    Delivery.objects.filter(pk=third.pk).update(fallback_of=second, state="in_doubt")
    dry = cleaned(worker, "old_deliveries", older_than=365 * DAY, dry_run=True)
    assert cleaned(worker, "old_deliveries", older_than=365 * DAY)["counts"] == dry["counts"]
    assert Delivery.objects.filter(pk__in=[first.pk, second.pk, third.pk]).count() == 3


def test_what_went_out_lately_stays_though_it_was_due_long_ago(worker: Any) -> None:
    customer = alice()
    delivery = over(customer).deliveries.order_by("pk").first()
    assert delivery
    Delivery.objects.filter(pk=delivery.pk).update(sent_at=timezone.now() - DAY)
    cleaned(worker, "old_deliveries", older_than=365 * DAY)
    assert Delivery.objects.filter(pk=delivery.pk).exists()
    assert cleaned(worker, "personal_data", older_than=365 * DAY)["counts"] == {"personal_data": 0}


def test_a_message_to_an_address_that_went_lately_keeps_its_words(worker: Any) -> None:
    old, said = timezone.now() - 400 * DAY, {"channel": "email", "text": "Hello", "by": "olga", "state": "sent"}
    due, retried = (
        DirectMessage.objects.create(address=f"{n}@example.com", created_at=old, **said, **more)
        for n, more in enumerate([{"send_at": timezone.now() - DAY}, {"send_at": old, "sent_at": timezone.now() - DAY}])
    )
    assert cleaned(worker, "personal_data", older_than=365 * DAY)["counts"] == {"personal_data": 0}
    for message in (due, retried):
        message.refresh_from_db()
        assert message.text == "Hello"


def test_a_chain_of_fallbacks_that_is_over_goes_as_the_dry_run_says(worker: Any) -> None:
    chain = [*over(alice()).deliveries.order_by("pk")]
    for before, after in pairwise(chain):
        Delivery.objects.filter(pk=after.pk).update(fallback_of=before)
    dry = cleaned(worker, "old_deliveries", older_than=365 * DAY, dry_run=True)
    assert dry["counts"] == {"old_deliveries": len(chain)} and 2 < len(chain) <= forgetting.LINKS
    assert cleaned(worker, "old_deliveries", older_than=365 * DAY)["counts"] == dry["counts"]
    assert not Delivery.objects.filter(pk__in=[one.pk for one in chain]).exists()


def test_the_deliveries_of_a_payment_that_was_paid_lately_stay(worker: Any) -> None:
    """Money comes back from the bank: then it is open again, and what was said of it long ago is not said twice."""
    payment = make_payment(bob(), due=-400 * DAY)
    Delivery.objects.filter(payment=payment).update(send_at=timezone.now() - 400 * DAY, state="sent")
    payments.mark_paid(payment)
    before = Delivery.objects.filter(payment=payment).count()
    assert before and cleaned(worker, "old_deliveries", older_than=365 * DAY)["counts"] == {"old_deliveries": 0}
    Payment.objects.filter(pk=payment.pk).update(closed_at=timezone.now() - 390 * DAY)
    assert cleaned(worker, "old_deliveries", older_than=365 * DAY)["counts"] == {"old_deliveries": before}
