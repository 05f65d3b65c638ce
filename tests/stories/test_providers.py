"""A provider's day: it works, it asks for patience, it breaks down and comes back. Nothing is lost or sent twice."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from twilio.request_validator import RequestValidator

from jobs.models import Job
from notifications.channels import sms
from notifications.models import Breaker, Delivery, ReminderRule, Suppression
from tests.factories import DAY, HOUR, MINUTE, alice, bob, make_booking
from tests.provider import Behaviour, Provider, reply, serving
from tests.stories.conftest import Day

pytestmark = pytest.mark.django_db

TAKEN = {"sid": "SM1", "num_segments": "2", "price": None, "price_unit": "USD"}
START = datetime(2027, 3, 25, 9, tzinfo=UTC)


def says(status: int, content: object, **headers: str) -> Behaviour:
    return reply(status, json.dumps(content).encode(), **headers)


@pytest.fixture
def twilio(settings, day: Day) -> Iterator[Provider]:
    with serving() as provider:
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", "token"
        settings.TWILIO_FROM, settings.TWILIO_API_BASE = "+15005550006", provider.url
        provider.answer = says(201, TAKEN)
        ReminderRule.objects.exclude(offset=-DAY, anchor="booking_start").delete()
        ReminderRule.objects.update(channels=["sms"], tolerance=timedelta())
        yield provider


def the_delivery() -> Delivery:
    return Delivery.objects.select_related("customer").get()


def test_a_text_message_goes_out_is_counted_and_its_fate_is_told(day: Day, twilio: Provider, client) -> None:
    make_booking(alice(phone="+4915112345678"), starts=START)
    day.goes_on_until(START - DAY + 10 * MINUTE)
    delivery = the_delivery()
    assert (delivery.state, delivery.provider_id, delivery.segments) == ("sent", "SM1", 2)
    assert twilio.log[0].fields["To"] == "+4915112345678"
    path = f"/callbacks/twilio/status/{delivery.pk}/"
    fields = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30005", "To": "+4915112345678"}
    signature = RequestValidator("token").compute_signature(f"http://127.0.0.1:8000{path}", fields)
    client.post(path, fields, headers={"X-Twilio-Signature": signature})
    assert the_delivery().outcome == "bounced"
    make_booking(delivery.customer, starts=START + DAY)
    day.goes_on_until(START + 10 * MINUTE)
    assert len(twilio.log) == 1  # nothing more to a number that does not exist


def test_a_provider_that_asks_for_patience_gets_it_at_no_attempts_cost(day: Day, twilio: Provider) -> None:
    twilio.answer = says(429, {"code": 20429}, retry_after="600")
    make_booking(alice(phone="+4915112345678"), starts=START)
    day.goes_on_until(START - DAY + 9 * MINUTE, step=MINUTE)
    job = Job.objects.get(pk=the_delivery().pk)
    assert (len(twilio.log), job.state, job.failures) == (1, "scheduled", 0)
    twilio.answer = says(201, TAKEN)
    day.goes_on_until(START - DAY + 15 * MINUTE, step=MINUTE)
    assert the_delivery().state == "sent"
    assert len(twilio.log) == 2


def test_a_number_that_said_stop_to_the_provider_is_left_alone_here_too(day: Day, twilio: Provider) -> None:
    twilio.answer = says(400, {"code": 21610})
    make_booking(alice(phone="+4915112345678"), starts=START)
    day.goes_on_until(START - DAY + 10 * MINUTE)
    assert the_delivery().state == "refused"
    assert Suppression.objects.values_list("channel", "address", "cause").get() == ("sms", "+4915112345678", "stop")


def test_a_provider_that_breaks_down_is_left_alone_and_found_again(day: Day, twilio: Provider, settings) -> None:
    settings.BREAKER_FAILURES, settings.BREAKER_SECONDS = 2, 1800
    address = settings.TWILIO_API_BASE
    settings.TWILIO_API_BASE = "http://127.0.0.1:1"
    for n, customer in enumerate((alice(phone="+4915112345678"), bob(phone="+4915112345679"))):
        make_booking(customer, starts=START + n * MINUTE)
    day.goes_on_until(START - DAY + 10 * MINUTE, step=MINUTE)
    assert Breaker.objects.get(provider="twilio").state == "open"
    failed = sum(Job.objects.values_list("failures", flat=True))
    day.goes_on_until(START - DAY + 25 * MINUTE, step=MINUTE)
    assert sum(Job.objects.values_list("failures", flat=True)) == failed  # waiting costs no attempt
    settings.TWILIO_API_BASE = address
    sms.client.forget()
    day.goes_on_until(START - DAY + 3 * HOUR)
    assert list(Delivery.objects.values_list("state", flat=True)) == ["sent", "sent"]
    assert len(twilio.log) == 2
    assert Breaker.objects.get(provider="twilio").state == "closed"
