"""Many messages of other systems' programs in one request: as many statements as for a few, and each as if alone."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models import DirectMessage, MessageTemplate
from tests.api.callers import Caller, Make
from tests.factories import alice

pytestmark = pytest.mark.django_db
WORDS = {"subject": "Hi", "body": "You are welcome"}
Call = dict[str, Any]


def emails(numbers: range) -> list[Call]:
    """Of each way to say to whom, with own words and with templates."""
    calls: list[Call] = []
    for n in numbers:
        customer = alice(external_id=f"u-{n}", email=f"u{n}@example.com", phone=f"+49151{n:08}")
        ways: list[Call] = [{"customerId": customer.pk}, {"userId": f"u-{n}"}, {"to": f"U{n}@example.com"}]
        calls += [{"type": "EMAIL_SEND", "data": way | WORDS} for way in [*ways, {"to": f"stranger{n}@example.com"}]]
        calls += [{"type": "send-welcome", "data": way} for way in ways]
        calls += [{"type": "SMS_SEND", "data": {"to": f"+49151{n:08}", "message": "Hi"}}]
        calls += [{"type": "USER_NOTIFICATION", "data": {"userId": f"u-{n}", "title": "Hi", "body": "There"}}]
    return calls


def looks(caller: Caller, calls: list[Call]) -> int:
    """How many SELECTs. What is inserted goes in chunks, which are small on SQLite."""
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = caller.post("jobs/bulk", {"jobs": calls})
    assert (answer.status_code, answer.data["refused"]) == (200, 0), answer.data
    return sum(one["sql"].startswith("SELECT") for one in seen)


@pytest.fixture
def program(caller: Make) -> Caller:
    for channel in ("email", "sms"):
        MessageTemplate.objects.create(
            message="welcome", channel=channel, subject="Welcome", text="{{ customer.name }}"
        )
    return caller()


def test_the_number_of_statements_does_not_depend_on_the_number_of_messages(program: Caller) -> None:
    few, many = emails(range(1)), emails(range(1, 21))
    assert len(many) == 20 * len(few)
    assert looks(program, many) == looks(program, few) <= 17  # of five kinds, in six ways


def test_each_message_is_that_of_its_call(program: Caller) -> None:
    calls = emails(range(3))
    ids = [one["id"] for one in program.post("jobs/bulk", {"jobs": calls}).data["results"]]
    alone = [program.post("jobs", call).data["id"] for call in calls]
    told = ("channel", "customer_id", "address", "message", "subject", "text", "tenant")
    for one, other in zip(ids, alone, strict=True):
        rows = DirectMessage.objects.filter(pk__in=(one, other)).values_list(*told)
        assert len(rows) == 2 and len(set(rows)) == 1


def test_an_address_that_several_share_is_written_to_as_an_address(program: Caller) -> None:
    for n in range(2):
        alice(external_id=f"f-{n}", email="family@example.com")
    call = {"type": "EMAIL_SEND", "data": {"to": "Family@example.com", **WORDS}}
    program.post("jobs/bulk", {"jobs": [call, call]})
    rows = DirectMessage.objects.values_list("customer_id", "address").distinct()
    assert [tuple(row) for row in rows] == [(None, "Family@example.com")]


def test_another_tenants_customer_is_nobody(caller: Make) -> None:
    theirs = alice(tenant="south", external_id="u-1", email="u1@example.com")
    asks = caller(tenants=["north"])
    names: list[Call] = [{"userId": "u-1"}, {"customerId": theirs.pk}]
    told = asks.post("jobs/bulk", {"jobs": [{"type": "EMAIL_SEND", "data": name | WORDS} for name in names]}).data
    assert [row["problem"]["status"] for row in told["results"]] == [422, 422]
    asks.post("jobs/bulk", {"jobs": [{"type": "EMAIL_SEND", "data": {"to": "u1@example.com", **WORDS}}]})
    message = DirectMessage.objects.get()
    assert (message.customer, message.address, message.tenant) == (None, "u1@example.com", "north")


def test_one_that_is_refused_leaves_the_others_alone(program: Caller) -> None:
    data: list[Call] = [{"to": "x@example.com", **WORDS}, {"to": 5}, {"to": "y@example.com", "template": "nothing"}]
    told = program.post("jobs/bulk", {"jobs": [{"type": "EMAIL_SEND", "data": one} for one in data]}).data
    assert [row["result"] for row in told["results"]] == ["created", "refused", "refused"]
