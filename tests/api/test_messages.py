"""Single messages over the API: sent once, to whom one may write, and told as they are."""

from typing import Any

import pytest
from django.core import mail

from notifications import direct
from notifications.callbacks.record import Event, record
from notifications.models import DirectMessage
from tests.api.callers import Make
from tests.factories import alice, bob

pytestmark = pytest.mark.django_db


def hello(**fields: Any) -> dict[str, Any]:
    return {"channel": "email", "subject": "Welcome", "text": "Hello {{ name }}", "variables": {"name": "you"}} | fields


def test_a_message_to_a_customer_goes_out_once(caller: Make, worker: Any) -> None:
    asks, body = caller(), hello(customer=alice().pk, external_id="welcome-7")
    first, second = asks.post("/messages", body), asks.post("/messages", body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.data["id"] == second.data["id"]
    worker.run_due()
    assert [one.to for one in mail.outbox] == [["alice@example.com"]]
    assert asks.get(f"/messages/{first.data['id']}").data["state"] == "sent"


def test_another_key_of_the_business_sends_it_no_second_time(caller: Make, worker: Any) -> None:
    body = hello(customer=alice().pk, external_id="welcome-7")
    assert [caller().post("/messages", body).status_code for _ in range(2)] == [201, 200]
    worker.run_due()
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    "other",
    [{"text": "Good bye"}, {"variables": {"name": "me"}}, {"useful_for": 60}, {"send_at": "2030-01-01T10:00:00Z"}],
    ids=["text", "variables", "useful_for", "send_at"],
)
def test_other_content_under_one_external_id_is_refused(caller: Make, other: dict[str, Any]) -> None:
    asks, body = caller(), hello(customer=alice().pk, external_id="welcome-7")
    told = asks.post("/messages", body).data
    answer = asks.post("/messages", body | other)
    assert answer.status_code == 409 and answer.data["message"] == told["id"]
    assert f"another {next(iter(other))}." in answer.data["detail"]
    assert asks.post("/messages", body).status_code == 200
    assert DirectMessage.objects.get().text == body["text"]


def test_whether_it_is_new_the_insert_says(caller: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asks, body = caller(), hello(address="someone@example.com", external_id="welcome-7")
    prepare = direct.prepared

    def beaten(*said: Any, **options: Any) -> DirectMessage:
        """Another request is first, after all that this one looks at."""
        message = prepare(*said, **options)
        monkeypatch.setattr(direct, "prepared", prepare)
        assert asks.post("/messages", body).status_code == 201
        return message

    monkeypatch.setattr(direct, "prepared", beaten)
    assert asks.post("/messages", body).status_code == 200
    assert DirectMessage.objects.count() == 1


def test_a_message_to_an_address_is_not_in_any_argument(caller: Make, worker: Any) -> None:
    answer = caller().post("/messages", hello(address="someone@example.com"))
    assert answer.status_code == 201
    worker.run_due()
    assert len(mail.outbox) == 1


def test_an_address_is_masked_and_not_written_to_without_the_scope(caller: Make) -> None:
    told = caller().post("/messages", hello(address="someone@example.com")).data
    asks = caller(scopes=["messages:send", "messages:read"])
    assert "someone" not in asks.get(f"/messages/{told['id']}").data["address"]
    assert asks.post("/messages", hello(address="someone@example.com")).status_code == 403


def test_one_that_waits_is_withdrawn(caller: Make, worker: Any) -> None:
    asks = caller()
    told = asks.post("/messages", hello(customer=alice().pk)).data
    assert asks.post(f"/messages/{told['id']}/withdraw").data == {"withdrawn": True}
    assert asks.post(f"/messages/{told['id']}/withdraw").data == {"withdrawn": False}
    worker.run_due()
    assert mail.outbox == []


def test_what_the_provider_tells_later_is_told(caller: Make, worker: Any) -> None:
    asks = caller()
    pk = asks.post("/messages", hello(customer=alice().pk)).data["id"]
    assert asks.get(f"/messages/{pk}").data["outcome"] == ""
    worker.run_due()
    record(Event("acme", "e-1", "bounced", delivery=pk, outcome="bounced"))
    told = asks.get(f"/messages/{pk}").data
    assert (told["state"], told["outcome"]) == ("sent", "bounced") and told["outcome_at"]
    assert [one["outcome"] for one in asks.get("/messages").data["items"]] == ["bounced"]


def test_another_tenants_customer_and_messages_are_not_there(caller: Make) -> None:
    theirs = bob(tenant="south")
    told = caller().post("/messages", hello(customer=theirs.pk)).data
    assert DirectMessage.objects.get().tenant == "south"
    asks = caller(tenants=["north"])
    assert asks.post("/messages", hello(customer=theirs.pk)).status_code == 422
    assert asks.get(f"/messages/{told['id']}").status_code == 404
    assert asks.post(f"/messages/{told['id']}/withdraw").status_code == 404
    assert asks.get("/messages").data["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"channel": "email", "text": "x"},
        hello(customer=1, address="a@example.com"),
        hello(customer=999_999),
        hello(address="no address"),
        hello(address="a@example.com", template="x"),
        hello(address="a@example.com", text="{% for x in y %}"),
        hello(address="a@example.com", variables={"_x": 1}),
        {"channel": "sms", "address": "12", "text": "x"},
        {"channel": "pigeon", "address": "a@example.com", "text": "x"},
    ],
)
def test_what_cannot_be_sent_is_refused(caller: Make, body: dict[str, Any]) -> None:
    answer = caller().post("/messages", body)
    assert answer.status_code == 422, answer.data
    assert answer.data["detail"]
