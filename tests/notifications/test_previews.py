"""Saving a rule first shows what it would do, and does what it has shown (L3)."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from notifications import bookings, previews, reconciler, rule_fields
from notifications.imports.outcomes import tally
from notifications.models import Consent, Delivery, ReminderRule, RuleOverride
from notifications.overrides import Overrides
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking, make_payment

pytestmark = pytest.mark.django_db

NOON = datetime(2027, 3, 23, 12, tzinfo=UTC)  # of the week before the clocks change
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca")


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def one_hour() -> ReminderRule:
    return ReminderRule.objects.get(name__startswith="1 hour")


def form(rule: ReminderRule, *overrides: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a browser posts."""
    fields = {
        name: value for name, value in model_to_dict(rule).items() if value is not None and value is not False
    } | changes
    data = {name: "[]" if value == [] else value for name, value in fields.items()}
    data |= _parts(data)
    data |= {"overrides-TOTAL_FORMS": len(overrides), "overrides-INITIAL_FORMS": 0}
    for n, override in enumerate(overrides):
        data |= {f"overrides-{n}-{name}": value for name, value in (override | _parts(dict(override))).items()}
    return data


def _parts(fields: dict[str, Any]) -> dict[str, Any]:
    """Durations as number, unit and side; channels as an order."""
    parts: dict[str, Any] = {}
    for name in ("offset", "useful_for", "tolerance", "repeat_every"):
        if isinstance(value := fields.pop(name, None), timedelta):
            number, unit = rule_fields.split(value)
            parts |= {f"{name}_0": number, f"{name}_1": unit}
            parts |= {f"{name}_2": "after" if value > timedelta() else "before"} if name == "offset" else {}
    for n, channel in enumerate(fields.pop("channels", [])):
        parts[f"channels_{n}"] = channel
    return parts


def url(rule: ReminderRule | None = None) -> str:
    if rule is None:
        return reverse("admin:notifications_reminderrule_add")
    return reverse("admin:notifications_reminderrule_change", args=[rule.pk])


def shown(answer: Any) -> tuple[previews.Preview, dict[str, Any]]:
    """The preview on the page, and what its button posts."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', answer.content.decode())
    return answer.context["preview"], {
        name: value.replace("&quot;", '"') for name, value in fields if "csrf" not in name
    }


# --- The page ---


def test_saving_shows_first_and_applies_what_was_confirmed(olga: Client, worker: InProcessWorker) -> None:
    booking, rule = make_booking(alice()), one_hour()
    answer = olga.post(url(rule), form(rule, offset=-2 * HOUR))
    preview, button = shown(answer)
    assert preview.rows == [("moved", "", 1)]
    assert "Nothing is saved yet" in answer.content.decode()
    assert one_hour().offset == -HOUR
    assert olga.post(url(rule), button).status_code == 302
    assert one_hour().offset == -2 * HOUR
    worker.run_due()
    assert booking.deliveries.get(rule=rule).send_at == booking.starts_at - 2 * HOUR


def test_what_has_changed_since_is_shown_again(olga: Client) -> None:
    customer, rule = alice(), one_hour()
    make_booking(customer)
    _, button = shown(olga.post(url(rule), form(rule, offset=-2 * HOUR)))
    make_booking(customer, starts=3 * DAY)
    answer = olga.post(url(rule), button)
    preview, button = shown(answer)
    assert "has changed since" in answer.content.decode()
    assert preview.rows == [("moved", "", 2)]
    assert one_hour().offset == -HOUR
    assert olga.post(url(rule), button).status_code == 302
    assert one_hour().offset == -2 * HOUR


def test_another_change_than_the_one_that_was_shown_is_not_saved(olga: Client) -> None:
    make_booking(alice())
    rule = one_hour()
    _, button = shown(olga.post(url(rule), form(rule, offset=-2 * HOUR)))
    assert shown(olga.post(url(rule), button | {"message": "payment_overdue"}))
    assert one_hour().message == "booking_upcoming"


def test_a_new_rule_tells_how_many_it_adds_and_what_would_go_out_at_once(olga: Client) -> None:
    make_booking(alice(), starts=5 * HOUR + 30 * MINUTE)
    make_booking(bob(), starts=4 * HOUR)
    rule = ReminderRule(name="new", anchor="booking_start", offset=-5 * HOUR, message="booking_upcoming")
    answer = olga.post(url(), form(rule))
    preview, button = shown(answer)
    assert sorted(preview.rows) == [("planned", "", 1), ("skipped", "made too late for this reminder", 1)]
    assert (preview.at_once, preview.within_the_hour) == (0, 1)
    assert olga.post(url(), button).status_code == 302
    assert Job.objects.filter(task="notifications.apply_rule").count() == 1


def test_a_change_of_no_consequence_is_saved_without_asking(olga: Client) -> None:
    rule = one_hour()
    assert olga.post(url(rule), form(rule, message="booking_moved")).status_code == 302
    assert one_hour().message == "booking_moved"


def test_an_override_is_shown_before_it_is_saved_too(olga: Client, worker: InProcessWorker) -> None:
    booking, rule = make_booking(alice(), service="Surgery"), one_hour()
    make_booking(bob())
    preview, button = shown(olga.post(url(rule), form(rule, {"service": "Surgery", "active": "false"})))
    assert preview.rows == [("withdrawn", "the rule is switched off", 1)]
    assert not RuleOverride.objects.exists()
    assert olga.post(url(rule), button).status_code == 302
    worker.run_due()
    assert booking.deliveries.get(rule=rule).reason == "rule_off"


def test_a_wrong_form_says_what_is_wrong(olga: Client) -> None:
    make_booking(alice())
    rule = one_hour()
    assert "two years" in olga.post(url(rule), form(rule, offset=-900 * DAY)).content.decode()
    twice = ({"service": "x"}, {"service": "x"})
    assert "preview" not in (olga.post(url(rule), form(rule, *twice)).context or {})


def test_who_may_not_change_rules_is_not_shown_what_they_would_do(client: Client) -> None:
    viewer = User.objects.create_user("vera", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_reminderrule"))
    client.force_login(viewer)
    make_booking(alice())
    rule = one_hour()
    assert client.post(url(rule), form(rule, offset=-2 * HOUR)).status_code == 403


# --- What it says is what happens ---


CHANGES: dict[str, dict[str, Any]] = {
    "elapsed": {"offset": -30 * HOUR},
    "on the wall": {"offset": -DAY, "at_time": time(18)},
    "quiet": {"quiet_from": time(19), "quiet_until": time(9, 30), "quiet": "earlier"},
    "quiet, skip": {"quiet_from": time(12), "quiet_until": time(11), "quiet": "skip"},
    "channels": {"channels": ["sms", "inbox"]},
    "spread": {"tolerance": HOUR},
    "off": {"active": False},
    "of payments": {"anchor": "payment_due", "message": "payment_upcoming"},
    "repeated": {"repeat_every": 5 * HOUR, "repeat_times": 4},
    "past": {"offset": -6 * DAY},
}


def anchors_of_two_weeks() -> None:
    people = [
        alice(email=f"{n}@example.com", time_zone=zone, phone="+4915112345678" if n % 2 else "")
        for n, zone in enumerate(ZONES)
    ]
    Consent.objects.create(customer=people[1], channel="sms", granted=False)
    for n in range(24):
        person = people[n % len(people)]
        make_booking(person, starts=NOON + n * 15 * HOUR, time_zone=ZONES[n % 3], service="Surgery" if n % 4 else "")
        if n % 4 == 0:
            make_payment(person, due=date(2027, 3, 20) + n * DAY // 4, time_zone=ZONES[n % 3])


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_what_is_predicted_over_the_weeks_of_the_clock_change_is_what_happens(changes: dict[str, Any]) -> None:
    with time_machine.travel(NOON, tick=False):
        anchors_of_two_weeks()
        rule = ReminderRule.objects.get(name__startswith="24 hours")
        before = {row.pk: row for row in Delivery.objects.all()}
        for name, value in changes.items():
            setattr(rule, name, value)
        override = RuleOverride(rule=rule, service="Surgery", useful_for=3 * HOUR)
        predicted = previews.foresee(rule, Overrides([override]))
        assert {row.pk: (row.state, row.send_at) for row in Delivery.objects.all()} == {
            pk: (row.state, row.send_at) for pk, row in before.items()
        }
        rule.save()
        override.save()
        plans = list(reconciler.reconcile(only=rule))
        actual = sum((tally(done) for done in plans), tally(plans[0])) - tally(plans[0])
        assert predicted.counts == actual
        rows = Delivery.objects.all()
        changed = [
            row
            for row in rows
            if row.pk not in before
            or (row.state, row.send_at, row.useful_until, row.reason)
            != (before[row.pk].state, before[row.pk].send_at, before[row.pk].useful_until, before[row.pk].reason)
        ]
        assert predicted.changes == len(changed) > 0
        assert sum(done.changes for done in reconciler.reconcile(only=rule)) == 0
        assert previews.foresee(rule, Overrides.of([rule])).changes == 0


def test_of_very_many_a_sample_is_looked_at_and_it_says_so(olga: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(previews, "AT_MOST", 10)
    customer = alice()
    for n in range(25):
        make_booking(customer, starts=(n + 2) * DAY)
    rule = one_hour()
    answer = olga.post(url(rule), form(rule, offset=-2 * HOUR))
    preview, _ = shown(answer)
    assert preview.one_in == 3
    assert 8 <= preview.looked_at <= 9
    assert preview.changes == preview.looked_at
    assert "only one in 3 was looked at" in answer.content.decode()


def test_the_fingerprint_is_the_same_for_the_same_decisions() -> None:
    booking, rule = make_booking(alice()), one_hour()
    rule.offset = -2 * HOUR
    first, second = (previews.foresee(rule, Overrides([]), timezone.now()) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    bookings.cancel(booking)
    assert previews.foresee(rule, Overrides([])).fingerprint != first.fingerprint
