"""A template with a real booking: looked at, and sent as a test to an address that the operator names."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import rendering, trials
from notifications.channels import CHANNELS
from notifications.channels.base import Down, Refused, Unknown
from notifications.models import Channel, Delivery, MessageTemplate, Suppression, Trial
from tests.factories import alice, make_booking, make_payment
from tests.notifications.providers import Provider, Providers, providers as providers
from tests.virtual import noon as noon

pytestmark = pytest.mark.django_db

TEXT = "Dear {{ customer.name }}, {{ booking.service }} {{ confirm_url }}"


def template(channel: str = "email", **fields: Any) -> MessageTemplate:
    usual = {"message": "booking_upcoming", "locale": "en", "subject": "Your {{ booking.service }}", "text": TEXT}
    return MessageTemplate.objects.create(**usual | {"channel": channel} | fields)


@pytest.fixture
def olga(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    return client


def url(row: MessageTemplate, **query: Any) -> str:
    return reverse("admin:notifications_messagetemplate_try", args=[row.pk], query=query)


def told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def try_it(client: Client, row: MessageTemplate, address: str = "me@example.com", **query: Any) -> str:
    return told(client.post(url(row, **query), {"address": address}, follow=True))


def test_it_reads_as_it_would_be_sent_but_for_the_links(olga: Client) -> None:
    booking = make_booking(alice())
    row = template(html="<p>Dear {{ customer.name }}</p><script>alert(1)</script>")
    page = olga.get(url(row, booking=booking.pk))
    said, real = page.context["said"], None
    delivery = booking.deliveries.select_related("rule", "customer").order_by("send_at")[0]
    real = rendering.render(delivery)
    assert said.subject == real.subject == "Your Haircut"
    assert said.text.rsplit(" ", 1)[0] == real.text.rsplit(" ", 1)[0] == "Dear Alice Ähre, Haircut"
    assert "/confirm/" in real.text and "/confirm/" not in said.text and "/unsubscribe/" not in said.html
    content = page.content.decode()
    assert '<iframe sandbox="" srcdoc="' in content and "<script>alert(1)" not in content


@pytest.mark.parametrize("channel", Channel.values)
def test_every_channel_has_its_preview(olga: Client, channel: str) -> None:
    booking = make_booking(alice(phone="+4915112345678"))
    page = olga.get(url(template(channel), booking=booking.pk))
    assert page.status_code == 200 and "Dear Alice Ähre" in page.content.decode()


def test_an_sms_tells_what_it_costs(olga: Client) -> None:
    booking = make_booking(alice())
    for text, cost in (("x" * 150, "150 characters, 1 SMS (GSM)"), ("\u017c" * 80, "80 characters, 2 SMS (Unicode)")):
        row = template("sms", locale=text[0], text=text)
        assert cost in olga.get(url(row, booking=booking.pk)).content.decode()


def test_a_payment_can_be_chosen_and_words_that_do_not_fit_say_so(olga: Client) -> None:
    payment = make_payment(alice())
    row = template(message="payment_upcoming", text="{{ owed }} for {{ payment.subject }}", subject="Money")
    assert "€45.50 for Haircut" in olga.get(url(row, payment=payment.pk)).content.decode()
    assert "booking" in olga.get(url(template(), payment=payment.pk)).context["problem"]
    both = olga.get(url(row, payment=payment.pk, booking=make_booking(alice(email="a2@example.com")).pk))
    assert "not both" in both.content.decode() and "said" not in both.context


def test_bookings_are_found_by_searching(olga: Client) -> None:
    make_booking(alice(), service="Haircut")
    field = {"app_label": "notifications", "model_name": "delivery", "field_name": "booking", "term": "alice"}
    assert len(olga.get(reverse("admin:autocomplete"), field).json()["results"]) == 1
    page = olga.get(url(template())).content.decode()
    assert "admin-autocomplete" in page


def test_a_test_goes_to_the_address_named_and_to_nobody_else(olga: Client) -> None:
    customer = alice()
    customer.consents.create(channel="email", granted=False)  # hers, not the operator's
    booking = make_booking(customer)
    before = Delivery.objects.count()
    row = template(html="<p>{{ booking.service }}</p>")
    assert "taken by the provider" in try_it(olga, row, booking=booking.pk)
    (sent,) = mail.outbox
    assert sent.to == ["me@example.com"] and sent.subject == "[TEST] Your Haircut"
    assert sent.body.startswith("TEST: This is a test.") and "Dear Alice Ähre" in sent.body
    assert "TEST: This is a test." in str(sent.message())
    whole = sent.message().as_string()
    assert "List-Unsubscribe" not in whole and "text/calendar" not in whole
    assert "/confirm/" not in whole and "/unsubscribe/" not in whole
    trial = Trial.objects.get()
    assert (trial.actor, trial.address, trial.channel) == ("olga", "me@example.com", "email")
    assert LogEntry.objects.get().object_id == str(row.pk) and "me@example.com" not in str(LogEntry.objects.get())
    assert Delivery.objects.count() == before


def test_an_sms_is_marked_too(olga: Client, providers: Providers) -> None:
    booking = make_booking(alice())
    try_it(olga, template("sms"), "+4915112345678", booking=booking.pk)
    assert providers["sms"].taken[0][1].startswith("TEST: Dear Alice")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Refused("no such mailbox", "bounce"), "refused: no such mailbox"),
        (Down("the server is not reached"), "not taken, for now: the server is not reached"),
        (Unknown("it did not answer"), "nobody knows whether it was taken: it did not answer"),
        (KeyError("me@example.com"), "nobody knows whether it was taken: KeyError"),
    ],
)
def test_what_the_provider_says_is_shown_and_kept(
    olga: Client, providers: Providers, answer: Exception, text: str
) -> None:
    booking = make_booking(alice())
    providers["email"].answers = [answer]
    assert text in try_it(olga, template(), booking=booking.pk)
    assert Trial.objects.get().answer == text and not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("email", ""),
        ("email", "me"),
        ("email", "me@example.com\nBcc: all@example.com"),
        ("email", "me@example.com, all@example.com"),
        ("sms", "0151 1234"),
        ("webhook", "file:///etc/passwd"),
        ("inbox", "1"),
    ],
)
def test_what_is_no_address_is_refused(olga: Client, providers: Providers, channel: str, address: str) -> None:
    booking = make_booking(alice())
    assert try_it(olga, template(channel), address, booking=booking.pk)
    assert not Trial.objects.exists() and not any(provider.taken for provider in providers.values())


def test_a_few_a_minute_are_enough_for_each_operator(noon: Any, olga: Client, providers: Providers) -> None:
    booking, row = make_booking(alice()), template()
    answers = [try_it(olga, row, booking=booking.pk) for _ in range(trials.A_MINUTE + 1)]
    assert "are enough" in answers[-1] and "are enough" not in answers[-2]
    assert len(providers["email"].taken) == trials.A_MINUTE == Trial.objects.count()
    otto = User.objects.create_user("otto", password="x")
    assert trials.send(row, booking, "me@example.com", otto).answer.startswith("taken")
    Trial.objects.update(at=timezone.now() - timedelta(seconds=61))
    assert "are enough" not in try_it(olga, row, booking=booking.pk)


def test_it_is_on_record_before_the_provider_is_called_and_outside_of_a_transaction(
    olga: Client, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking, depth = make_booking(alice()), len(connection.savepoint_ids)
    seen: list[tuple[int, int]] = []

    class Looks(Provider):
        def __call__(self, message: Any, *, idempotency_key: str) -> Any:
            seen.append((Trial.objects.filter(answer="").count(), len(connection.savepoint_ids) - depth))
            return super().__call__(message, idempotency_key=idempotency_key)

    monkeypatch.setitem(CHANNELS, "email", Looks())
    try_it(olga, template(), booking=booking.pk)
    assert seen == [(1, 0)]


def test_a_customers_signature_goes_to_the_customers_own_address_only(
    olga: Client, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = alice(webhook_url="https://hooks.example.com/", webhook_secret="whsec_c2VjcmV0")
    booking, row, secrets = make_booking(customer), template("webhook"), []

    class Looks(Provider):
        def __call__(self, message: Any, *, idempotency_key: str) -> Any:
            secrets.append((message.secret == customer.webhook_secret, message.metadata["test"]))
            return super().__call__(message, idempotency_key=idempotency_key)

    monkeypatch.setitem(CHANNELS, "webhook", Looks())
    for address in ("https://hooks.example.com/", "https://elsewhere.example.com/"):
        try_it(olga, row, address, booking=booking.pk)
    assert secrets == [(True, True), (False, True)]


def operator(client: Client, *permissions: str, name: str = "otto") -> Client:
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_sending_takes_a_permission_of_its_own(client: Client, providers: Providers) -> None:
    booking, row = make_booking(alice()), template()
    otto = operator(client, "view_messagetemplate", "change_messagetemplate", "view_booking")
    page = otto.get(url(row, booking=booking.pk))
    assert page.status_code == 200 and "Send test" not in page.content.decode()
    assert otto.post(url(row, booking=booking.pk), {"address": "me@example.com"}).status_code == 403
    assert not Trial.objects.exists()


def test_who_may_not_see_bookings_does_not_see_them_here(client: Client, providers: Providers) -> None:
    booking, row = make_booking(alice()), template()
    otto = operator(client, "view_messagetemplate", "try_messagetemplate")
    assert "Alice" not in otto.get(url(row, booking=booking.pk)).content.decode()
    assert "Choose a booking" in try_it(otto, row, booking=booking.pk)
    assert not providers["email"].taken


def test_who_may_not_see_templates_is_turned_away(client: Client) -> None:
    assert operator(client, "try_messagetemplate").get(url(template())).status_code == 403
    nowhere = reverse("admin:notifications_messagetemplate_try", args=[0])
    assert client.get(nowhere).status_code == 403  # who may see none is not told which there are
    assert operator(Client(), "view_messagetemplate", name="olga").get(nowhere).status_code == 404


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"text": "{{ nme }}"}, "nme"),
        ({"text": "x{% if booking.confirmed %}{{ nme }}{% endif %}"}, "nme"),
        ({"html": "<p>{{ nme }}</p>"}, "nme"),
        ({"subject": "one\nBcc: all@example.com"}, "one line"),
        ({"subject": "{{ 'a' | append: nme }}"}, "nme"),
        ({"channel": "sms", "text": "x" * 161}, "161 characters are 2 SMS"),
        ({"channel": "sms", "text": "\u017c" * 71}, "2 SMS"),
    ],
)
def test_words_that_would_fail_later_are_refused_when_they_are_saved(
    olga: Client, fields: dict[str, str], error: str
) -> None:
    usual = {"message": "booking_upcoming", "channel": "email", "locale": "en", "subject": "Hi", "text": "Hi"}
    page = olga.post(reverse("admin:notifications_messagetemplate_add"), usual | {"html": ""} | fields)
    assert page.status_code == 200 and error in str(page.context["errors"])
    assert not MessageTemplate.objects.exists()
