"""A delivery's page: the message as its recipient saw it, how far that is known, and the queue of doubts."""

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from notifications.models import (
    Booking,
    Delivery,
    DirectMessage,
    InboxItem,
    MessageTemplate,
    OutboxMessage,
    ProviderEvent,
)
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, alice, bob, make_booking
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db
DOUBTS = "admin:notifications_delivery_doubts"


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def page(client: Client, delivery: Delivery):
    return client.get(reverse("admin:notifications_delivery_change", args=[delivery.pk]))


def resolve(client: Client, delivery: Delivery, verb: str, **said: str):
    url = reverse("admin:notifications_delivery_do", args=[delivery.pk, verb])
    return client.post(url, {"reason": "the provider's log", "next": reverse(DOUBTS), **said}, follow=True)


@pytest.fixture
def doubt() -> Delivery:
    delivery = make_booking(alice()).deliveries.order_by("send_at")[0]
    long_ago = timezone.now() - 3 * HOUR
    changes = {"state": "in_doubt", "doubts": 1, "intent_at": long_ago, "detail": "alice@example.com: the line broke"}
    Delivery.objects.filter(pk=delivery.pk).update(**changes)
    Job.objects.filter(pk=delivery.pk).update(state="failed")
    delivery.refresh_from_db()
    return delivery


def test_what_was_sent_leaves_a_fingerprint_and_the_page_knows_it_again(olga: Client, worker: InProcessWorker) -> None:
    delivery = due_now(first(make_booking(alice())))
    assert "is written anew when it goes out" in page(olga, delivery).content.decode()
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, len(delivery.content)) == ("sent", 64)
    with time_machine.travel(timezone.now() + HOUR):
        shown = page(olga, delivery)
    assert shown.context["message"].same is True
    assert shown.context["message"].subject == mail.outbox[0].subject
    assert "the recipient saw this" in shown.content.decode()


def test_when_rows_have_changed_since_the_page_says_that_it_cannot_know(olga: Client, worker: InProcessWorker) -> None:
    delivery = due_now(first(make_booking(alice())))
    worker.run_due()
    Booking.objects.update(service="Colour")
    shown = page(olga, delivery)
    assert shown.context["message"].same is False
    assert "What was handed over was different" in shown.content.decode()


def test_what_the_provider_told_of_a_direct_message_is_on_its_page(olga: Client) -> None:
    message = DirectMessage.objects.create(
        channel="email", customer=alice(), text="x", by="x", state="sent", sent_at=timezone.now(), outcome="complained"
    )
    for number, kind in enumerate(("delivered", "complained")):
        ProviderEvent.objects.create(provider="postmark", event_id=str(number), kind=kind, direct=message)
    content = olga.get(reverse("admin:notifications_directmessage_change", args=[message.pk])).content.decode()
    assert "taken by the provider" in content
    assert content.index("postmark: delivered") < content.index("postmark: complained")
    assert reverse("admin:jobs_job_change", args=[message.pk]) in content
    listed = olga.get(reverse("admin:notifications_directmessage_changelist"), {"outcome__exact": "complained"})
    assert str(message.pk) in listed.content.decode()
    assert olga.get(reverse("admin:notifications_directmessage_change", args=["nonsense"])).status_code == 404


def test_html_stands_in_a_frame_that_runs_nothing_and_whose_links_do_nothing(olga: Client) -> None:
    delivery = first(make_booking(alice(name="<b>Alice</b>")))
    content = page(olga, delivery).content.decode()
    assert '<iframe sandbox="" srcdoc="' in content
    assert "<b>Alice" not in content
    assert "/confirm/" not in page(olga, delivery).context["message"].html


def test_copies_that_are_kept_are_shown_as_they_are(olga: Client) -> None:
    sms, inbox, _ = make_booking(alice(phone="+4915123456789")).deliveries.order_by("send_at")
    Delivery.objects.filter(pk=sms.pk).update(channel="sms", state="sent", intent_at=timezone.now())
    Delivery.objects.filter(pk=inbox.pk).update(channel="inbox", state="sent", intent_at=timezone.now())
    OutboxMessage.objects.create(channel="sms", key=str(sms.pk), to="+4915123456789", text="Old words, Alice" * 20)
    InboxItem.objects.create(customer=sms.customer, key=str(inbox.pk), title="Old title", body="Old body")
    message = page(olga, sms).context["message"]
    assert (message.kept, message.text[:9], message.parts, message.alphabet) == (True, "Old words", 3, "GSM")
    assert (page(olga, inbox).context["message"].subject, page(olga, inbox).context["message"].kept) == (
        "Old title",
        True,
    )


def test_words_that_fail_are_told_and_the_page_opens(olga: Client) -> None:
    delivery = first(make_booking(alice()))
    MessageTemplate.objects.create(
        message="booking_upcoming", channel="email", locale="en", subject="x", text="{{ no.such }}"
    )
    shown = page(olga, delivery)
    assert shown.status_code == 200 and shown.context["message"].problem


def test_the_timeline_tells_what_the_provider_told(olga: Client, doubt: Delivery) -> None:
    ProviderEvent.objects.create(provider="postmark", event_id="1", kind="bounced", code="HardBounce", delivery=doubt)
    assert "postmark: bounced HardBounce" in page(olga, doubt).content.decode()


# --- Doubts ---


def test_the_queue_is_oldest_first_with_what_happened(olga: Client, doubt: Delivery) -> None:
    other = make_booking(bob()).deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=other.pk).update(state="in_doubt", doubts=1, intent_at=timezone.now() - MINUTE)
    answer = olga.get(reverse(DOUBTS))
    assert [row.pk for row, *_ in answer.context["rows"]] == [doubt.pk, other.pk]
    assert "the line broke" in answer.content.decode()


def test_a_doubt_is_resolved_with_a_reason_and_the_queue_is_shorter(olga: Client, doubt: Delivery) -> None:
    assert "This field is required" in resolve(olga, doubt, "was_sent", reason="").content.decode()
    answer = resolve(olga, doubt, "was_sent")
    assert answer.context["rows"] == []
    doubt.refresh_from_db()
    assert (doubt.state, doubt.doubts, doubt.sent_at) == ("sent", 0, doubt.intent_at)
    assert LogEntry.objects.get().change_message == "was_sent: the provider's log"
    again = resolve(olga, doubt, "was_not_sent")
    assert "was not in doubt any more" in " ".join(map(str, again.context["messages"]))
    assert LogEntry.objects.count() == 1


def test_sending_again_is_asked_twice(olga: Client, doubt: Delivery) -> None:
    assert "may arrive twice" in resolve(olga, doubt, "send_again").content.decode()
    doubt.refresh_from_db()
    assert doubt.state == "in_doubt"
    resolve(olga, doubt, "send_again", _confirmed="yes")
    doubt.refresh_from_db()
    assert (doubt.state, doubt.doubts) == ("planned", 1)


def test_the_queue_costs_the_same_for_one_and_for_many(
    olga: Client, doubt: Delivery, django_assert_max_num_queries
) -> None:
    for n in range(10):
        row = make_booking(bob(email=f"{n}@example.com")).deliveries.order_by("send_at")[0]
        Delivery.objects.filter(pk=row.pk).update(state="in_doubt", doubts=1, intent_at=timezone.now())
    olga.get(reverse(DOUBTS))
    with django_assert_max_num_queries(4):
        assert len(olga.get(reverse(DOUBTS)).context["rows"]) == 11


def test_an_outbox_message_is_readable_and_leads_to_its_delivery(olga: Client, doubt: Delivery) -> None:
    text = "See you, Alice " * 12
    row = OutboxMessage.objects.create(channel="sms", key=str(doubt.pk), to="+4915123456789", text=text)
    answer = olga.get(reverse("admin:notifications_outboxmessage_change", args=[row.pk]))
    content = answer.content.decode()
    assert "2 SMS (GSM)" in content and reverse("admin:notifications_delivery_change", args=[doubt.pk]) in content
