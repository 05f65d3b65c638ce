"""Doubts end once, by a person with a reason, or by a provider that can be asked."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, doubts, guarantees, outcomes, reminders
from notifications.channels.base import Receipt
from notifications.models import Delivery
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, alice, make_booking
from tests.notifications.providers import Providers, booking_of, providers as providers, reload
from tests.notifications.reminding import due_now, first
from tests.notifications.test_guarantees import UNKNOWN, goes_on, under

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery(settings, providers: Providers) -> Delivery:
    return due_now(first(make_booking(alice())))


@pytest.fixture
def doubt(worker: InProcessWorker, delivery: Delivery, providers: Providers) -> Delivery:
    providers["email"].answers = [UNKNOWN]
    goes_on(worker, delivery)
    assert delivery.state == "in_doubt"
    return delivery


def test_somebody_who_knows_that_it_arrived_says_so_once(doubt: Delivery) -> None:
    assert doubts.resolve([doubt.pk], "sent", "olga", "she has it in her hands") == 1
    assert doubts.resolve([doubt.pk], "not_sent", "bob", "I do not think so") == 0
    assert doubts.resolve([doubt.pk], "sent", "bob", "I think so, too") == 0
    doubt.refresh_from_db()
    assert (doubt.state, doubt.doubts) == ("sent", 0)
    assert doubt.sent_at == doubt.intent_at
    assert "olga" in doubt.detail and "in her hands" in doubt.detail


def test_somebody_who_knows_that_it_did_not_ends_it_as_refused(doubt: Delivery) -> None:
    assert doubts.resolve([doubt.pk], "not_sent", "olga", "not in the server's log") == 1
    doubt.refresh_from_db()
    assert (doubt.state, doubt.doubts) == ("refused", 0)


def test_a_person_may_risk_a_repetition_and_it_stays_counted(worker, doubt: Delivery, providers) -> None:
    assert doubts.resolve([doubt.pk], "resend", "olga", "better twice than never") == 1
    goes_on(worker, doubt)
    assert (doubt.state, doubt.doubts) == ("sent", 1)
    assert providers["email"].asked == {str(doubt.pk): 2}


def test_what_is_decided_or_whose_job_still_runs_is_not_sent_again(doubt: Delivery) -> None:
    def sent_again() -> int:
        return doubts.resolve([doubt.pk], "resend", "olga", "why not")

    Job.objects.filter(pk=doubt.pk).update(state="running", lease_until=timezone.now() + HOUR, finished_at=None)
    assert (sent_again(), reload(doubt)) == (0, [("in_doubt", "")])  # its worker knows better
    Job.objects.filter(pk=doubt.pk).update(state="failed", lease_until=None, finished_at=timezone.now())
    Delivery.objects.filter(pk=doubt.pk).update(state="sent")
    assert (sent_again(), reload(doubt)) == (0, [("sent", "")])


def test_what_was_given_up_and_turns_out_not_to_be_taken_gets_a_job_again(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(state="in_doubt", doubts=1, token=3)
    Job.objects.filter(pk=delivery.pk).update(state="failed", finished_at=timezone.now())
    outcomes.Intent(delivery, 3, reminders.job_for).put_back("451")
    assert reload(delivery) == [("planned", "")]
    assert Job.objects.get(pk=delivery.pk).state == "scheduled"


def test_a_resend_still_has_to_pass_the_fence(worker, doubt: Delivery, providers) -> None:
    bookings.cancel(booking_of(doubt))
    doubts.resolve([doubt.pk], "resend", "olga", "why not")
    goes_on(worker, doubt)
    assert (doubt.state, doubt.reason) == ("in_doubt", "cancelled")
    assert providers["email"].asked == {str(doubt.pk): 1}


@pytest.mark.parametrize(("outcome", "who", "reason"), [("maybe", "o", "r"), ("sent", " ", "r"), ("sent", "o", "")])
def test_a_resolution_has_a_name_and_a_reason(doubt: Delivery, outcome: str, who: str, reason: str) -> None:
    with pytest.raises(ValueError):
        doubts.resolve([doubt.pk], outcome, who, reason)


def act(client: Client, action: str, pk: object, reason: str) -> str:
    data = {"action": action, "_selected_action": [str(pk)], "reason": reason, "_confirmed": "yes"}
    answer = client.post(reverse("admin:notifications_delivery_changelist"), data, follow=True)
    said = [str(message) for message in answer.context["messages"]] if answer.context else []
    return " ".join(said) or answer.content.decode()


def test_olga_resolves_a_doubt_in_the_admin_with_a_reason(doubt: Delivery, client: Client) -> None:
    olga = User.objects.create_superuser("olga", password="x")
    client.force_login(olga)
    assert "This field is required" in act(client, "was_sent", doubt.pk, "  ")
    assert reload(doubt)[0][0] == "in_doubt"
    assert "1 done" in act(client, "was_sent", doubt.pk, "Alice called")
    assert reload(doubt)[0][0] == "sent"
    assert "sent: Alice called" in LogEntry.objects.get(user=olga).change_message
    assert "1 left alone: It was not in doubt any more" in act(client, "was_not_sent", doubt.pk, "Alice called")
    assert LogEntry.objects.count() == 1  # of what was decided, not of what was tried


def test_without_the_permission_nobody_resolves_anything(doubt: Delivery, client: Client) -> None:
    viewer = User.objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(viewer)
    act(client, "was_sent", doubt.pk, "because")
    assert reload(doubt)[0][0] == "in_doubt"


def test_a_callback_ends_a_retry_that_was_to_come(worker, delivery, providers, settings) -> None:
    under(settings, "resend")
    providers["email"].answers = [UNKNOWN]
    goes_on(worker, delivery)
    assert doubts.resolve([delivery.pk], "sent", "the provider", "delivered") == 1
    goes_on(worker, delivery)
    assert (delivery.state, delivery.doubts) == ("sent", 0)
    assert providers["email"].asked == {str(delivery.pk): 1}


@pytest.mark.parametrize("had", [True, False])
def test_a_provider_that_can_be_asked_settles_its_doubts(worker, doubt: Delivery, providers, had: bool) -> None:
    Delivery.objects.filter(pk=doubt.pk).update(intent_at=timezone.now() - 10 * MINUTE)
    asked = []

    def find(key: str) -> Receipt | None:
        asked.append(key)
        return Receipt("known-7") if had else None

    providers["email"].find = find
    assert doubts.look_up() == 1
    doubt.refresh_from_db()
    assert asked == [str(doubt.pk)]
    if had:
        assert (doubt.state, doubt.doubts, doubt.provider_id) == ("sent", 0, "known-7")
        return
    goes_on(worker, doubt)
    assert (doubt.state, doubt.doubts) == ("sent", 0)
    assert providers["email"].asked == {str(doubt.pk): 2}


def test_a_look_up_without_an_answer_changes_nothing(doubt: Delivery, providers) -> None:
    Delivery.objects.filter(pk=doubt.pk).update(intent_at=timezone.now() - 10 * MINUTE)

    def find(key: str) -> Receipt | None:
        raise TimeoutError

    providers["email"].find = find
    assert doubts.look_up() == 0
    assert reload(doubt) == [("in_doubt", "")]


def test_a_provider_is_not_asked_while_the_request_may_be_under_way(doubt: Delivery, providers) -> None:
    """It could say that it has nothing, and get it a moment later."""
    over = guarantees.QUARANTINE + guarantees.REQUEST
    Delivery.objects.filter(pk=doubt.pk).update(intent_at=timezone.now() - over)
    providers["email"].find = lambda key: pytest.fail("asked too early")
    assert doubts.look_up() == 0


def test_a_look_up_does_not_judge_what_changed_while_it_asked(doubt: Delivery, providers) -> None:
    """A person had it sent again meanwhile, and its next attempt ended in a doubt of its own."""
    Delivery.objects.filter(pk=doubt.pk).update(intent_at=timezone.now() - 10 * MINUTE)

    def find(key: str) -> None:
        Delivery.objects.filter(pk=doubt.pk).update(token=99)

    providers["email"].find = find
    assert doubts.look_up() == 0
    assert reload(doubt) == [("in_doubt", "")]
