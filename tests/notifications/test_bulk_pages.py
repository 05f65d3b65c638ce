"""From the list of bookings to a change of many: shown, confirmed, watched, called off."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from notifications import bulk
from notifications.admin.bulk_changes import NotAFilter, selection_of
from notifications.models import Booking, BulkChange, Delivery, ReminderRule
from tests.conftest import InProcessWorker
from tests.factories import DAY, alice, bob, make_booking

pytestmark = pytest.mark.django_db

ADD = "admin:notifications_bulkchange_add"
LIST = "admin:notifications_booking_changelist"


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def operator(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("otto", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def asked(**fields: Any) -> dict[str, Any]:
    usual = {"kind": "message", "location": "Clinic", "reason": "burst pipe", "subject": "Closed", "at_any_hour": "on"}
    return usual | {"text": "Dear {{ customer.name }}, we are closed.", "channels": ["email", "sms"]} | fields


def confirm(client: Client, form: dict[str, Any]) -> Any:
    shown = client.post(reverse(ADD), form)
    assert shown.status_code == 200, shown.content
    return client.post(reverse(ADD), form | confirmed(shown))


def confirmed(shown: Any) -> dict[str, Any]:
    """What the page that was shown sends."""
    return {"_confirm": "1", "_seen": shown.context["seen"], "_token": str(shown.context["token"])}


@pytest.mark.parametrize("action", ["cancel_many", "move_many", "message_many"])
def test_the_selected_bookings_are_carried_to_the_page(olga: Client, action: str) -> None:
    chosen = [make_booking(alice()), make_booking(bob())]
    ids = [str(booking.pk) for booking in chosen]
    answer = olga.post(reverse(LIST), {"action": action, "_selected_action": ids})
    assert answer.status_code == 302 and not BulkChange.objects.exists()
    page = olga.get(answer["Location"])
    assert page.context["form"].initial["kind"] == action.removesuffix("_many")
    assert sorted(page.context["form"].initial["ids"].split(",")) == sorted(ids)
    assert page.status_code == 200 and "Nothing has happened" not in page.content.decode()


def test_everything_that_matches_the_filter_is_a_filter_and_not_a_list(olga: Client) -> None:
    booking = make_booking(alice(), location="Clinic")
    url = reverse(LIST) + f"?q=alice&starts_at__year={booking.starts_at.year}&status__exact=booked"
    answer = olga.post(url, {"action": "cancel_many", "_selected_action": [str(booking.pk)], "select_across": "1"})
    chosen = bulk.Selection.model_validate_json(parse_qs(urlsplit(answer["Location"]).query)["selection"][0])
    assert (chosen.search, chosen.ids) == ("alice", ())
    assert chosen.starts_from == datetime.fromisoformat(f"{booking.starts_at.year}-01-01T00:00Z")
    assert list(chosen.bookings()) == [booking]


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({}, "Filter the list first"),
        ({"o": "1", "p": "2"}, "Filter the list first"),
        ({"status__exact": "cancelled"}, "still on"),
        ({"customer__name": "x"}, "customer__name"),
        ({"starts_at__isnull": "1"}, "starts_at__isnull"),
    ],
)
def test_a_filter_that_cannot_be_kept_is_refused(olga: Client, filters: dict[str, str], told: str) -> None:
    with pytest.raises(NotAFilter, match=told):
        selection_of(filters)


@pytest.mark.parametrize(
    ("filters", "first", "end"),
    [
        ({"starts_at__year": "2027", "starts_at__month": "12"}, "2027-12-01T00:00Z", "2028-01-01T00:00Z"),
        ({"starts_at__year": "2027", "starts_at__month": "2"}, "2027-02-01T00:00Z", "2027-03-01T00:00Z"),
        (
            {"starts_at__year": "2027", "starts_at__month": "2", "starts_at__day": "28"},
            "2027-02-28T00:00Z",
            "2027-03-01T00:00Z",
        ),
        (
            {"starts_at__gte": "2027-02-28 00:00:00+01:00", "starts_at__lt": "2027-03-01 00:00:00+01:00"},
            "2027-02-27T23:00Z",
            "2027-02-28T23:00Z",
        ),
    ],
)
def test_the_lists_calendar_is_a_span_of_time(filters: dict[str, str], first: str, end: str) -> None:
    chosen = selection_of(filters)
    assert chosen.starts_from == datetime.fromisoformat(first)
    assert chosen.starts_before == datetime.fromisoformat(end)


def test_a_search_means_what_it_means_in_the_list(olga: Client) -> None:
    for service in ("Haircut", "Hair dye", "Dye"):
        make_booking(alice(email=f"{service[-3:]}@example.com"), service=service)
    for text, found in (("hair", 2), ('"hair dye"', 1), ("dye hair", 1), ("o'brien", 0), ("alice", 3)):
        listed = olga.get(reverse(LIST), {"q": text}).context["cl"].result_count
        assert bulk.Selection(search=text).bookings().count() == listed == found, text


def test_the_preview_shows_whom_it_reaches_and_starts_nothing(olga: Client) -> None:
    make_booking(alice(), location="Clinic")
    make_booking(bob(email=""), location="Clinic")
    page = olga.post(reverse(ADD), asked()).content.decode()
    for told in (
        "2 bookings of 2 customers",
        "email",
        "no address for this channel",
        "Dear Alice Ähre, we are closed.",
    ):
        assert told in page, told
    assert not BulkChange.objects.exists() and not Delivery.objects.filter(bulk__isnull=False).exists()


def test_confirmed_it_is_started_watched_and_on_record(olga: Client, worker: InProcessWorker) -> None:
    make_booking(alice(), location="Clinic")
    answer = confirm(olga, asked())
    change = BulkChange.objects.get()
    assert (change.actor, change.reason, change.filters) == ("olga", "burst pipe", {"location": "Clinic"})
    assert LogEntry.objects.get().object_id == str(change.pk)
    page = olga.get(answer["Location"])
    assert page["Refresh"] == "3" and "under way" in page.content.decode()
    worker.run_due()
    worker.run_due()
    page = olga.get(answer["Location"])
    assert "Refresh" not in page and "messages planned: 1" in page.content.decode() and "sent" in page.content.decode()


def test_cancel_and_tell_from_the_page(olga: Client, worker: InProcessWorker) -> None:
    booking = make_booking(alice(), location="Clinic")
    confirm(olga, asked(kind="cancel"))
    worker.drain()
    assert Booking.objects.get(pk=booking.pk).status == "cancelled"
    assert Delivery.objects.get(bulk__isnull=False).state == "sent"


def test_what_changed_since_the_preview_is_shown_again(olga: Client) -> None:
    make_booking(alice(), location="Clinic")
    seen = olga.post(reverse(ADD), asked()).context["seen"]
    make_booking(bob(), location="Clinic")
    for form in (asked(), asked(text="Something else")):
        answer = olga.post(reverse(ADD), form | {"_confirm": "1", "_seen": seen})
        assert answer.status_code == 200 and "changed since" in answer.content.decode()
    assert not BulkChange.objects.exists()


def test_sent_twice_it_is_started_once_and_the_second_is_shown_the_first(olga: Client) -> None:
    make_booking(alice(), location="Clinic")
    form = asked() | confirmed(olga.post(reverse(ADD), asked()))
    first, second = olga.post(reverse(ADD), form), olga.post(reverse(ADD), form)
    assert first.status_code == second.status_code == 302 and first["Location"] == second["Location"]
    assert BulkChange.objects.count() == Job.objects.filter(task="notifications.bulk").count() == 1
    assert LogEntry.objects.count() == 1


def test_of_two_clicks_that_both_found_nothing_started_one_starts_it(
    olga: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes between the first's look and its start."""
    make_booking(alice(), location="Clinic")
    form, start, answers = asked() | confirmed(olga.post(reverse(ADD), asked())), bulk.start, []

    def held(*args: Any, **kwargs: Any) -> BulkChange:
        monkeypatch.setattr(bulk, "start", start)
        answers.append(olga.post(reverse(ADD), form))
        return start(*args, **kwargs)

    monkeypatch.setattr(bulk, "start", held)
    answers.append(olga.post(reverse(ADD), form))
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0]["Location"] == answers[1]["Location"]
    assert BulkChange.objects.count() == ReminderRule.objects.filter(bulk__isnull=False).count() == 1
    assert LogEntry.objects.count() == 1


def test_a_page_that_is_shown_again_may_start_another(olga: Client) -> None:
    make_booking(alice(), location="Clinic")
    confirm(olga, asked())
    confirm(olga, asked())
    assert BulkChange.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"text": "{{ nme }}"}, "nme"),
        ({"text": ""}, "empty"),
        ({"reason": ""}, "required"),
        ({"location": ""}, "Say which bookings"),
        ({"ids": "1,x"}, "valid integer"),
        ({"kind": "move"}, "Say how far"),
        ({"kind": "move", "days": "400"}, "366"),
        ({"kind": "cancel", "text": ""}, "leave subject and SMS empty"),
        ({"channels": []}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_said_on_the_page(olga: Client, fields: dict[str, Any], told: str) -> None:
    page = olga.post(reverse(ADD), asked(**fields))
    assert page.status_code == 200 and told in page.content.decode()


def test_called_off_from_the_page(olga: Client, worker: InProcessWorker) -> None:
    make_booking(alice(), location="Clinic")
    confirm(olga, asked())
    worker.run_due()
    change = BulkChange.objects.get()
    url = reverse("admin:notifications_bulkchange_call_off", args=[change.pk])
    assert olga.get(url).status_code == 405 and url in olga.get(url.replace("call-off", "change")).content.decode()
    page = olga.post(url, follow=True).content.decode()
    assert "being withdrawn" in page and "called off" in page
    worker.run_due()
    assert Delivery.objects.get(bulk=change).reason == "called_off"
    assert "called off before" in olga.post(url, follow=True).content.decode()
    assert LogEntry.objects.filter(change_message__contains="called off").count() == 1


def test_it_takes_a_permission_of_its_own(client: Client) -> None:
    booking = make_booking(alice(), location="Clinic")
    change = bulk.start(bulk.Kind.CANCEL, bulk.Selection(location="Clinic"), reason="pipe", actor="olga")
    otto = operator(client, "view_booking", "change_booking", "view_bulkchange")
    assert "cancel_many" not in otto.get(reverse(LIST)).content.decode()
    assert otto.get(reverse(ADD)).status_code == otto.post(reverse(ADD), asked()).status_code == 403
    assert otto.post(reverse("admin:notifications_bulkchange_call_off", args=[change.pk])).status_code == 403
    page = otto.get(reverse("admin:notifications_bulkchange_change", args=[change.pk]))
    assert page.status_code == 200 and "Call off:" not in page.content.decode()
    otto.post(reverse(LIST), {"action": "cancel_many", "_selected_action": [str(booking.pk)]})
    assert BulkChange.objects.count() == 1


def test_the_permission_is_enough(client: Client) -> None:
    make_booking(alice(), location="Clinic")
    otto = operator(client, "view_booking", "run_bulkchange")
    assert confirm(otto, asked()).status_code == 302 and BulkChange.objects.get().actor == "otto"
    assert Job.objects.filter(task="notifications.bulk").exists()


def test_rules_of_messages_to_many_are_not_the_owners(olga: Client) -> None:
    make_booking(alice(), location="Clinic", starts=3 * DAY)
    confirm(olga, asked())
    rule = ReminderRule.objects.get(bulk__isnull=False)
    assert rule.name not in olga.get(reverse("admin:notifications_reminderrule_changelist")).content.decode()
    assert olga.get(reverse("admin:notifications_reminderrule_change", args=[rule.pk])).status_code == 404
    assert "bulk_message" not in olga.get(reverse("admin:notifications_reminderrule_add")).content.decode()
