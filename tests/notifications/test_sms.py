"""SMS against a Twilio on loopback: what is asked, what each answer means, and how many parts a text has."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from notifications.channels import http, segments, sms, twilio_errors
from notifications.channels.base import Down, Message, Refused, Throttled, Unknown
from notifications.channels.twilio_errors import KINDS, RAISES, SUPPRESS, Kind
from notifications.models import OutboxMessage, Suppression
from tests.provider import (
    DRIPPING,
    GIVES_UP,
    HANGING,
    PATIENT,
    Behaviour,
    Provider,
    drip,
    hang,
    raw,
    reply,
    reset,
    serving,
)

MESSAGE = Message(to="+4915112345678", subject="", text="Alice, see you tomorrow")


def taken(**fields: Any) -> Behaviour:
    row = {"sid": "SM1", "status": "queued", "num_segments": "1", "price": None, "price_unit": "USD", **fields}
    return reply(201, json.dumps(row).encode(), content_type="application/json")


def error(status: int, code: int, **headers: str) -> Behaviour:
    words = {"code": code, "message": f"The number {MESSAGE.to} is wrong", "status": status}
    return reply(status, json.dumps(words).encode(), **headers)


@pytest.fixture
def twilio(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setattr(http, "FRESH", 600.0)  # a busy machine pauses for longer
    with serving() as provider:
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC1", "secret-token"
        settings.TWILIO_FROM, settings.TWILIO_API_BASE = "+15005550006", provider.url
        settings.TWILIO_LIMITS = PATIENT
        provider.answer = taken()
        yield provider


def test_a_message_is_posted_as_twilio_wants_it(twilio: Provider, settings) -> None:
    settings.HTTPS, settings.PUBLIC_URL = True, "https://punctual.example"
    receipt = sms.send(MESSAGE, idempotency_key="d-1")
    (request,) = twilio.log
    assert request.line == "POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1"
    assert request.headers["authorization"].startswith("Basic ")
    assert request.fields == {
        "To": MESSAGE.to,
        "Body": MESSAGE.text,
        "From": "+15005550006",
        "StatusCallback": "https://punctual.example/callbacks/twilio/status/d-1/",
    }
    assert (receipt.provider_id, receipt.segments, receipt.cost) == ("SM1", 1, None)


def test_a_messaging_service_and_an_api_key_may_stand_in(twilio: Provider, settings) -> None:
    settings.TWILIO_MESSAGING_SERVICE_SID = "MG1"
    settings.TWILIO_API_KEY, settings.TWILIO_API_SECRET = "SK1", "other"
    sms.send(MESSAGE, idempotency_key="d-1")
    (request,) = twilio.log
    assert request.fields == {"To": MESSAGE.to, "Body": MESSAGE.text, "MessagingServiceSid": "MG1"}
    assert "/Accounts/AC1/" in request.line
    assert request.headers["authorization"] == "Basic U0sxOm90aGVy"


def test_parts_and_cost_are_counted(twilio: Provider, settings) -> None:
    twilio.answer = taken(num_segments="3", price="-0.0225", price_unit="usd")
    receipt = sms.send(MESSAGE, idempotency_key="d-1")
    assert (receipt.segments, receipt.cost, receipt.currency) == (3, Decimal("0.0225"), "USD")
    settings.SMS_PRICE, settings.SMS_PRICE_CURRENCY = Decimal("0.01"), "EUR"
    twilio.answer = taken(num_segments="0")  # of a messaging service: not known yet
    receipt = sms.send(Message(to=MESSAGE.to, subject="", text="x" * 161), idempotency_key="d-2")
    assert (receipt.segments, receipt.cost, receipt.currency) == (2, Decimal("0.02"), "EUR")


def test_one_connection_carries_many_messages(twilio: Provider) -> None:
    for n in range(5):
        sms.send(MESSAGE, idempotency_key=f"d-{n}")
    assert (len(twilio.log), twilio.connections) == (5, 1)


@pytest.mark.parametrize(
    "to", ["", "015112345678", "+0151", "+49 151 1234567", "+491", "+4915112345678901", "+49a", "+٤٩١٥"]
)
def test_a_number_that_is_none_is_not_sent(twilio: Provider, to: str) -> None:
    with pytest.raises(Refused, match=r"E\.164"):
        sms.send(Message(to=to, subject="", text="x"), idempotency_key="d-1")
    assert twilio.connections == 0


@pytest.mark.parametrize("code", sorted(KINDS))
def test_each_code_of_the_table_means_what_it_says(twilio: Provider, code: int) -> None:
    twilio.answer = error(400, code)
    with pytest.raises(RAISES[KINDS[code]]) as caught:
        sms.send(MESSAGE, idempotency_key="d-1")
    assert type(caught.value) is RAISES[KINDS[code]]
    assert str(code) in str(caught.value)
    assert getattr(caught.value, "suppress", "") == SUPPRESS.get(KINDS[code], "")
    for personal in (MESSAGE.to, MESSAGE.to[4:], "Alice", "secret-token"):
        assert personal not in repr(caught.value)


def test_the_table_has_each_code_once_and_only_causes_that_exist() -> None:
    codes = [code for codes in twilio_errors._CODES.values() for code in codes]
    assert len(codes) == len(set(codes))
    assert set(SUPPRESS.values()) <= set(Suppression.Cause.values)
    assert set(RAISES) == set(Kind)
    assert KINDS[21610] is Kind.STOPPED


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (error(400, 99999), Refused),
        (error(401, 20003), Down),
        (reply(404), Down),
        (reply(429), Throttled),
        (error(500, 20500), Unknown),
        (error(503, 20503), Down),
        (reply(502, b"<html>"), Unknown),
        (reply(503, b"<html>"), Unknown),  # of a gateway, which knows nothing of the message
        (reply(504), Unknown),
        (reply(301, location="/elsewhere"), Unknown),
    ],
)
def test_an_answer_without_a_known_code_is_judged_by_its_status(
    twilio: Provider, answer: Behaviour, raised: type[Exception]
) -> None:
    twilio.answer = answer
    with pytest.raises(raised) as caught:
        sms.send(MESSAGE, idempotency_key="d-1")
    assert type(caught.value) is raised
    assert len(twilio.log) == 1


def test_a_limit_of_the_provider_is_a_time_to_wait(twilio: Provider) -> None:
    twilio.answer = error(429, 20429, retry_after="17")
    with pytest.raises(Throttled) as caught:
        sms.send(MESSAGE, idempotency_key="d-1")
    assert caught.value.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        pytest.param(HANGING, hang, id="hangs"),
        pytest.param(PATIENT, reset, id="resets after the request"),
        pytest.param(PATIENT, raw(b""), id="closes without a word"),
        pytest.param(PATIENT, raw(b"garbage\r\n\r\n"), id="garbage"),
        pytest.param(PATIENT, reply(201, b"<html>"), id="no JSON"),
        pytest.param(PATIENT, reply(201, b"[]"), id="JSON of another kind"),
        pytest.param(PATIENT, reply(201, b"{}"), id="no message in it"),
        pytest.param(PATIENT, reply(200, b'{"sid": null}'), id="no sid"),
        pytest.param(PATIENT, raw(b"HTTP/1.1 201 OK\r\ncontent-length: 99\r\n\r\n{"), id="breaks off"),
        pytest.param(DRIPPING, drip(b"HTTP/1.1 201 OK\r\ncontent-length: 99999\r\n\r\n", b" "), id="drips"),
        pytest.param(PATIENT, reply(201, b" " * 1_000_000), id="far too much"),
    ],
)
def test_a_request_without_a_whole_answer_is_unknown_and_ends_in_time(
    twilio: Provider, settings: Any, limits: dict[str, float], answer: Behaviour
) -> None:
    settings.TWILIO_LIMITS = limits
    twilio.answer = answer
    began = time.monotonic()
    with pytest.raises(Unknown):
        sms.send(MESSAGE, idempotency_key="d-1")
    assert time.monotonic() - began < GIVES_UP
    assert twilio.asked() == 1


def test_before_the_request_nothing_was_sent(twilio: Provider, settings) -> None:
    settings.TWILIO_API_BASE = "http://127.0.0.1:1"
    with pytest.raises(Down):
        sms.send(MESSAGE, idempotency_key="d-1")


def test_nothing_personal_is_logged(twilio: Provider, caplog) -> None:
    caplog.set_level("DEBUG")
    sms.send(MESSAGE, idempotency_key="d-1")
    for personal in (MESSAGE.to, MESSAGE.to[1:], "Alice", "secret-token"):
        assert personal not in caplog.text


@pytest.mark.django_db
def test_without_an_account_messages_stay_in_the_outbox_once() -> None:
    for _ in range(2):
        receipt = sms.send(MESSAGE, idempotency_key="d-1")
    (row,) = OutboxMessage.objects.all()
    assert (row.channel, row.to, row.text) == ("sms", MESSAGE.to, MESSAGE.text)
    assert (receipt.provider_id, receipt.segments) == ("outbox:d-1", 1)


# --- Parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),  # escaped: two septets each
        ("€" * 81, 2),
        ("x" * 152 + "€" + "x" * 152, 3),  # 306 septets, but none is cut in two: 152 + 153 + 1
        ("ü" * 160, 1),
        ("ы" * 70, 1),
        ("ы" * 71, 2),
        ("ы" * 134, 2),
        ("ы" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 67, 3),  # 33 in a part of 67 units, not 33 and a half
        ("x" * 159 + "`", 3),  # one sign that GSM lacks, and it is UCS-2
        ("x" * 69 + "ç", 1),  # GSM has the capital one only
        ("\n\r@Δ_ΦΓΛΩΠΨΣΘΞ", 1),
    ],
)
def test_parts_are_counted_as_carriers_do(text: str, parts: int) -> None:
    assert segments.count(text) == parts


def test_the_alphabet_is_the_standards() -> None:
    assert len(segments.BASIC) == 127  # 128 codes, one of which is the escape
    assert len(segments.ESCAPED) == 10
