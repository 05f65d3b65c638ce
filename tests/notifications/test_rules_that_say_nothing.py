"""Rules whose reminders would break, or never be, are refused when saved; an only language is spoken to all."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError

from notifications import rules
from notifications.models import MessageTemplate, ReminderRule, RuleOverride
from tests.factories import DAY, HOUR, alice, make_booking
from tests.notifications.reminding import due_now
from tests.notifications.test_previews import form, url

pytestmark = pytest.mark.django_db


def a_rule(**fields: Any) -> ReminderRule:
    usual = {"name": "x", "anchor": "booking_start", "offset": -3 * HOUR, "message": "booking_upcoming"}
    return ReminderRule(**usual | fields)


def words(channel: str = "email", **fields: Any) -> MessageTemplate:
    usual = {"message": "mine", "locale": "de", "subject": "Hallo", "text": "Hallo {{ customer.name }}"}
    return MessageTemplate.objects.create(channel=channel, **usual | fields)


def test_an_owner_who_writes_one_language_is_heard_by_all(worker: Any) -> None:
    """Customers are English unless somebody says otherwise; the owner wrote German, and nobody heard anything."""
    words()
    rules.check(a_rule(message="mine"))
    rule = rules.add(a_rule(message="mine"))
    worker.run_due()
    due_now(make_booking(alice(locale="en")).deliveries.get(rule=rule))
    worker.run_due()
    assert [message.subject for message in mail.outbox] == ["Hallo"]


def test_of_several_languages_the_installations_comes_first(worker: Any, settings: Any) -> None:
    settings.LANGUAGE_CODE = "fr"
    words()
    words(locale="fr", subject="Bonjour")
    rule = rules.add(a_rule(message="mine"))
    worker.run_due()
    due_now(make_booking(alice(locale="it")).deliveries.get(rule=rule))
    worker.run_due()
    assert [message.subject for message in mail.outbox] == ["Bonjour"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"channels": ["sms", "email"], "message": "mine"}, "channels"),
        ({"message": "nobodys"}, "message"),
        ({"quiet_from": time(8), "quiet_until": time(8)}, "quiet_until"),
        ({"offset": -HOUR, "at_time": time(18)}, "offset"),
        ({"anchor": "payment_due", "offset": timedelta(hours=-36), "message": "payment_upcoming"}, "offset"),
        ({"anchor": "booking_made", "offset": timedelta(), "at_time": time(18)}, "at_time"),
    ],
    ids=["no-words-by-sms", "no-words", "quiet-never", "an-hour-at-18", "a-day-and-a-half", "what-happens-at-18"],
)
def test_what_would_break_or_never_be_is_refused(fields: dict[str, Any], field: str) -> None:
    words()
    with pytest.raises(ValidationError) as refused:
        rules.check(a_rule(**fields))
    assert list(refused.value.message_dict) == [field]


@pytest.mark.parametrize(
    "fields",
    [{"channels": ["webhook"]}, {"channels": ["inbox"]}, {"message": "mine"}, {"offset": -DAY, "at_time": time(18)}],
    ids=["webhook", "inbox", "own-words", "the-day-before"],
)
def test_what_can_be_said_is_kept(fields: dict[str, Any]) -> None:
    words()
    rules.check(a_rule(**fields))


def test_a_rule_without_words_can_be_switched_off() -> None:
    rules.check(a_rule(message="nobodys", active=False))


def test_an_override_is_judged_with_its_rule() -> None:
    words()
    rule = rules.add(a_rule(message="mine"))
    with pytest.raises(ValidationError) as refused:
        rules.check_override(RuleOverride(rule=rule, service="Haircut", channels=["sms"]))
    assert list(refused.value.message_dict) == ["message"]


def test_the_admins_form_refuses_it_too(admin_client: Any) -> None:
    rule = ReminderRule.objects.filter(anchor="booking_start").earliest("pk")
    answer = admin_client.post(url(rule), form(rule, message="nobodys"))
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == ["message"]
