"""`send-welcome`, which other systems have as their first example: it works before anybody wrote a template."""

import json
from typing import Any

import pytest
from django.core import mail

from notifications.models import MessageTemplate
from tests.factories import alice
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db


def sent(worker: Any, **data: Any) -> Any:
    Shell("jobs").lines("enqueue", "send-welcome", "--data", json.dumps(data))
    worker.drain()
    (message,) = mail.outbox
    return message


@pytest.mark.parametrize(
    ("locale", "subject", "greeting"),
    [("en", "Welcome", "Hello Alice,"), ("de-AT", "Willkommen", "Guten Tag Alice,"), ("fr", "Welcome", "Hello Alice,")],
)
def test_a_new_installation_welcomes_without_any_template(
    locale: str, subject: str, greeting: str, worker: Any
) -> None:
    customer = alice(name="Alice", locale=locale, external_id="user123")
    message = sent(worker, userId="user123", email=customer.email)
    (html, _type) = message.alternatives[0]
    assert (message.to, message.subject) == ([customer.email], subject)
    assert message.body.startswith(greeting) and greeting in html


def test_an_address_of_nobody_is_greeted_without_a_name(worker: Any) -> None:
    message = sent(worker, email="new@example.com", userId=7)
    assert message.to == ["new@example.com"] and message.body.startswith("Hello,\n")


def test_the_owners_words_come_before_ours(worker: Any) -> None:
    MessageTemplate.objects.create(message="welcome", channel="email", locale="en", subject="Hi", text="Come in")
    assert sent(worker, email="new@example.com").subject == "Hi"
