"""What people do with selected rows of a list: shown first, asked why, done row by row, on record where it changed."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.theme import many
from jobs.models import Job, JobEvent
from notifications.models import Booking, Delivery, Payment
from tests.factories import HOUR, MINUTE, alice, bob, make_booking, make_payment
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db
LIST = "admin:notifications_delivery_changelist"
WITHDRAWN = {"state": "skipped", "reason": "job_cancelled", "send_at": timezone.now() - HOUR}
DOUBT = {"state": "in_doubt", "doubts": 1, "intent_at": timezone.now() - HOUR}

# the list, the verb, what is said, what the rows are before
VERBS: list[tuple[str, str, dict[str, str], dict[str, Any]]] = [
    ("delivery", "withdraw", {}, {}),
    ("delivery", "again", {}, WITHDRAWN),
    ("delivery", "was_sent", {"reason": "it is in the log"}, DOUBT),
    ("delivery", "was_not_sent", {"reason": "it is in no log"}, DOUBT),
    ("delivery", "send_again", {"reason": "better twice"}, DOUBT),
    ("booking", "cancel", {"reason": "ill"}, {}),
    ("payment", "cancel", {"reason": "a gift"}, {}),
    ("payment", "paid_in_full", {}, {}),
]
EACH = pytest.mark.parametrize(("model", "verb", "said", "before"), VERBS, ids=[f"{one[0]}-{one[1]}" for one in VERBS])


@pytest.fixture
def otto() -> Client:
    return client_of(person("Operator"))


def chosen(verb: str, *rows: Any) -> dict[str, Any]:
    return {"action": verb, "_selected_action": [str(row.pk) for row in rows]}


def rows_for(model: str, before: dict[str, Any]) -> tuple[Any, Any]:
    """Two that the verb fits, of different customers."""
    bookings = make_booking(alice()), make_booking(bob())
    if model == "delivery":
        first, other = (booking.deliveries.order_by("send_at")[0] for booking in bookings)
        Delivery.objects.filter(pk__in=[first.pk, other.pk]).update(**before)
        if before:
            Job.objects.filter(pk__in=[first.pk, other.pk]).update(state="failed", finished_at=timezone.now())
        return first, other
    if model == "payment":
        return make_payment(bookings[0].customer), make_payment(bookings[1].customer)
    return bookings


def everything() -> list[Any]:
    kinds: tuple[Any, ...] = (Booking, Payment, Delivery, Job, JobEvent, LogEntry)
    return [list(kind.objects.order_by("pk").values()) for kind in kinds]


@EACH
def test_a_list_asks_first_and_then_does_what_it_showed(
    otto: Client, model: str, verb: str, said: dict[str, str], before: dict[str, Any]
) -> None:
    rows, url = rows_for(model, before), reverse(f"admin:notifications_{model}_changelist")
    was = everything()
    assert otto.get(url, chosen(verb, *rows) | said | {"_confirmed": "yes"}).status_code in (200, 302)
    asked = otto.post(url, chosen(verb, *rows))
    assert (asked.context["fitting"], asked.context["others"]) == (2, 0)
    assert "Rows that would be changed: 2." in asked.content.decode()
    if said:
        assert 'name="reason"' in asked.content.decode()
    assert everything() == was, "neither a GET nor the list's own post changes anything"
    answer = otto.post(url, chosen(verb, *rows) | said | {"_confirmed": "yes"}, follow=True)
    told = " ".join(str(message) for message in answer.context["messages"])
    assert "2 withdrawn" in told if verb == "withdraw" else "2 done" in told
    logged = list(LogEntry.objects.values_list("object_id", "change_message"))
    assert {pk for pk, _ in logged} == {str(row.pk) for row in rows} and len(logged) == 2
    assert all(said.get("reason", verb) in text for _, text in logged)


@EACH
@pytest.mark.parametrize("role", ["nobody", "Viewer"])
def test_who_may_not_do_it_to_one_may_not_do_it_to_many(
    role: str, model: str, verb: str, said: dict[str, str], before: dict[str, Any]
) -> None:
    rows, url = rows_for(model, before), reverse(f"admin:notifications_{model}_changelist")
    was = everything()
    client_of(person(role)).post(url, chosen(verb, *rows) | said | {"_confirmed": "yes"})
    assert everything() == was


@pytest.mark.parametrize("verb", ["was_sent", "was_not_sent", "send_again"])
def test_a_doubt_is_resolved_for_a_reason(otto: Client, verb: str) -> None:
    rows = rows_for("delivery", DOUBT)
    asked = otto.post(reverse(LIST), chosen(verb, *rows) | {"_confirmed": "yes", "reason": " "})
    assert "This field is required" in asked.content.decode() and not LogEntry.objects.exists()


def test_only_what_changed_is_on_record_with_its_receipt(otto: Client) -> None:
    waiting, sent, doubtful = make_booking(alice()).deliveries.order_by("send_at")
    Delivery.objects.filter(pk=sent.pk).update(state="sent", sent_at=timezone.now())
    Job.objects.filter(pk=sent.pk).update(state="succeeded", finished_at=timezone.now())
    Delivery.objects.filter(pk=doubtful.pk).update(doubts=1)  # an earlier attempt may have been taken
    asked = otto.post(reverse(LIST), chosen("withdraw", waiting, sent, doubtful))
    assert (asked.context["fitting"], asked.context["others"]) == (2, 1)
    answer = otto.post(reverse(LIST), chosen("withdraw", waiting, sent, doubtful) | {"_confirmed": "y"}, follow=True)
    told = " ".join(str(message) for message in answer.context["messages"])
    assert "1 withdrawn" in told and "1 in doubt" in told and "1 left alone: It does not wait any more" in told
    assert dict(LogEntry.objects.values_list("object_id", "change_message")) == {
        str(waiting.pk): "withdraw (withdrawn)",
        str(doubtful.pk): "withdraw (in doubt)",
    }
    events = JobEvent.objects.values_list("job_id", "by", "verb", "before", "outcome")
    assert set(events) == {(pk, "operator", "cancel", "scheduled", "cancelled") for pk in (waiting.pk, doubtful.pk)}


@pytest.mark.parametrize(
    ("verb", "before", "event"),
    [
        ("again", WITHDRAWN, ("resend", "failed", "done")),
        ("was_sent", DOUBT, ("doubt: sent", "failed", "done")),
        ("was_not_sent", DOUBT, ("doubt: not_sent", "failed", "done")),
        ("send_again", DOUBT, ("doubt: resend", "failed", "done")),
    ],
)
def test_the_jobs_story_tells_who_asked(otto: Client, verb: str, before: dict[str, Any], event: Any) -> None:
    row, _ = rows_for("delivery", before)
    said = {"reason": "it is in the log", "_confirmed": "yes"}
    otto.post(reverse("admin:notifications_delivery_do", args=[row.pk, verb]), said)
    (told,) = JobEvent.objects.filter(job=row.pk)
    assert ((told.verb, told.before, told.outcome), told.by) == (event, "operator")
    otto.post(reverse("admin:notifications_delivery_do", args=[row.pk, verb]), said)
    assert JobEvent.objects.count() == 1, "what was not done again is not told again"


def test_where_nothing_fits_there_is_nothing_to_confirm(otto: Client) -> None:
    asked = otto.post(reverse(LIST), chosen("again", *rows_for("delivery", {})))
    assert (asked.context["fitting"], asked.context["others"]) == (0, 2)
    assert "_confirmed" not in asked.content.decode()


def test_all_that_match_are_no_more_than_a_person_can_wait_for(otto: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "MOST", 2)
    rows = list(make_booking(alice()).deliveries.all())
    answer = otto.post(reverse(LIST), chosen("withdraw", *rows) | {"select_across": "1"}, follow=True)
    assert "At most 2 rows at once" in " ".join(str(message) for message in answer.context["messages"])
    monkeypatch.setattr(many, "MOST", 3)
    asked = otto.post(reverse(LIST), chosen("withdraw", rows[0]) | {"select_across": "1"})
    assert asked.context["fitting"] == 3
    assert asked.content.decode().count('name="_selected_action"') == 3, "those that were shown, and no others"


def test_what_left_the_filter_meanwhile_is_told(otto: Client) -> None:
    one, other, _ = make_booking(alice()).deliveries.order_by("send_at")
    Delivery.objects.filter(pk=other.pk).update(state="sent", sent_at=timezone.now() - MINUTE)
    url = reverse(LIST) + "?state__exact=planned"
    answer = otto.post(url, chosen("withdraw", one, other) | {"_confirmed": "yes"}, follow=True)
    told = " ".join(str(message) for message in answer.context["messages"])
    assert "1 withdrawn" in told and "1 left alone: not in the list any more" in told
    answer = otto.post(url, chosen("withdraw", other) | {"_confirmed": "yes"}, follow=True)
    assert "Nothing that was selected" in " ".join(str(message) for message in answer.context["messages"])


def test_there_is_one_way_to_cancel_bookings_for_each_person(otto: Client) -> None:
    make_booking(alice())
    url = reverse("admin:notifications_booking_changelist")
    page, of_manager = otto.get(url).content.decode(), client_of(person("Manager")).get(url).content.decode()
    assert 'value="cancel"' in page and 'value="cancel_many"' not in page
    assert 'value="cancel"' not in of_manager and 'value="cancel_many"' in of_manager
