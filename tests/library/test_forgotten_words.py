"""What people wrote about somebody goes with them; who was only ever written down is forgotten, too."""

from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone

from jobs import orders
from jobs.audit import JobEvent
from jobs.models import Job
from notifications import consent, forgetting
from notifications.models import Booking, Customer, Delivery, DirectMessage
from tests.factories import DAY, alice, bob, make_booking
from tests.library.test_forgetting import over
from tests.notifications.writing_direct import written

pytestmark = pytest.mark.django_db
WHY = "Alice Ähre phoned: her mother is ill"


def forget(days: int = 365) -> list[int]:
    before = timezone.now() - days * DAY
    ids = list(forgetting.forgettable(before).values_list("pk", flat=True))
    forgetting.forget(ids, before)
    return ids


def logged(row: Any, message: str) -> LogEntry:
    user, _ = get_user_model().objects.get_or_create(username="olga")
    about = {"user_id": user.pk, "content_type": ContentType.objects.get_for_model(row), "object_id": str(row.pk)}
    entry: LogEntry = LogEntry.objects.create(**about, object_repr="x", action_flag=CHANGE, change_message=message)
    return entry


def why_of(job_id: Any) -> tuple[str, list[tuple[str, str, str]]]:
    events = JobEvent.objects.filter(job=job_id).values_list("by", "verb", "reason")
    return Job.objects.get(pk=job_id).reason, list(events)


def test_the_reasons_of_what_was_asked_of_their_jobs_are_forgotten() -> None:
    delivery = make_booking(alice()).deliveries.earliest("pk")
    other = make_booking(bob()).deliveries.earliest("pk")
    orders.cancel([delivery.pk, other.pk], by="olga", reason=WHY)
    over_now = timezone.now() - 400 * DAY
    Booking.objects.update(ends_at=over_now, starts_at=over_now - DAY, created_at=over_now, status="completed")
    Delivery.objects.filter(customer=delivery.customer).update(state="skipped", reason="cancelled", send_at=over_now)
    assert forget() == [delivery.customer_id]
    assert why_of(delivery.pk) == ("", [("olga", "cancel", "")])
    assert why_of(other.pk) == (WHY, [("olga", "cancel", WHY)])


def test_a_reason_of_the_machines_own_stays() -> None:
    booking = over(alice())
    job = booking.deliveries.earliest("pk").pk
    Job.objects.filter(pk=job).update(reason="its worker was lost")
    forget()
    assert why_of(job) == ("its worker was lost", [])


def test_what_was_noted_in_the_log_is_forgotten_and_that_it_was_done_stays() -> None:
    booking = over(alice())
    delivery = booking.deliveries.earliest("pk")
    fields = '[{"changed": {"fields": ["Name"]}}]'
    noted = [logged(row, f"cancel: {WHY}") for row in (booking.customer, booking, delivery)]
    kept = [logged(booking, fields), logged(make_booking(bob()), f"cancel: {WHY}")]
    forget()
    words = dict(LogEntry.objects.values_list("pk", "change_message"))
    assert [words[one.pk] for one in noted] == ["", "", ""]
    assert [words[one.pk] for one in kept] == [fields, f"cancel: {WHY}"]


def test_so_are_those_about_a_message_to_an_address(worker: Any) -> None:
    message = written(address="carol@example.com", customer=None)
    orders.cancel([message.pk], by="olga", reason=WHY)
    entry, then = logged(message, f"withdraw: {WHY}"), timezone.now() - 400 * DAY
    DirectMessage.objects.update(state="skipped", send_at=then, created_at=then)
    forgetting._forget_address(DirectMessage.objects.all())
    entry.refresh_from_db()
    assert (why_of(message.pk), entry.change_message) == (("", [("olga", "cancel", "")]), "")


def test_who_was_only_ever_written_down_is_forgotten_in_time() -> None:
    """Of an import that led to nothing: nothing happened, so nothing was over, and the names stayed for good."""
    old, new, spoke = alice(), bob(), alice(name="Carol", email="carol@example.com")
    Customer.objects.exclude(pk=new.pk).update(created_at=timezone.now() - 400 * DAY)
    consent.record(spoke, "email", True, source="form", actor="carol")
    assert forget() == [old.pk]
    assert Customer.objects.get(pk=old.pk).name == forgetting.NOBODY
    assert forget() == []
