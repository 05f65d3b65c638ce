"""/inbox: an app reads its customer's messages with a token of its own, which opens nothing else."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.utils import timezone

from config.api import api
from jobs.access import ApiCall, ApiKey, IdempotentRequest
from jobs.api import keys
from jobs.ids import new_id
from notifications.api import inbox_tokens
from notifications.models import Customer, InboxItem
from tests.api.callers import Caller, Make
from tests.api.product import ALL, known_customer, two_shops
from tests.factories import bob

pytestmark = pytest.mark.django_db


def message(customer: Customer, **more: Any) -> InboxItem:
    usual = {"key": f"k-{InboxItem.objects.count()}", "title": "Tomorrow", "body": "At ten", "metadata": {"booking": 1}}
    return InboxItem.objects.create(customer=customer, **usual | more)


def app(program: Caller, customer: Customer, **body: Any) -> Caller:
    answer = program.ask("post", f"customers/{customer.pk}/inbox-token", body)
    assert answer.status_code == 201, answer.content
    return Caller(answer.data["token"])


def test_an_app_reads_marks_and_archives_the_messages_of_its_customer(program: Caller) -> None:
    alice, other = known_customer(), bob()
    first, second = message(alice), message(alice, level="warning")
    message(alice, expires_at=timezone.now() - timedelta(hours=1))
    message(other)
    mine = app(program, alice)
    assert [one["id"] for one in mine.ask("get", "inbox").data["items"]] == [second.pk, first.pk]
    assert mine.ask("get", "inbox").data["items"][1]["metadata"] == {"booking": 1}
    assert [one["id"] for one in mine.ask("get", "inbox?level=warning").data["items"]] == [second.pk]
    assert mine.ask("get", "inbox/unread").data == {"number": 2}
    assert mine.ask("post", "inbox/read", {"ids": [first.pk]}).data == {"number": 1}
    assert [one["id"] for one in mine.ask("get", "inbox?unread=true").data["items"]] == [second.pk]
    assert mine.ask("post", "inbox/unread", {"ids": [first.pk]}).data == {"number": 1}
    assert mine.ask("post", "inbox/read", {}).data == {"number": 3}
    assert mine.ask("post", "inbox/archive", {"ids": [first.pk]}).data == {"number": 1}
    assert [one["id"] for one in mine.ask("get", "inbox?archived=true").data["items"]] == [first.pk]
    assert mine.ask("post", "inbox/restore", {"ids": [first.pk]}).data == {"number": 1}


def test_an_app_neither_reads_nor_changes_what_is_anothers(program: Caller) -> None:
    alice, other = known_customer(), bob()
    theirs = message(other)
    mine = app(program, alice)
    for verb in ("read", "unread", "archive", "restore"):
        assert mine.ask("post", f"inbox/{verb}", {"ids": [theirs.pk]}).data == {"number": 0}
    assert mine.ask("get", "inbox").data["items"] == []
    theirs.refresh_from_db()
    assert (theirs.read_at, theirs.archived_at) == (None, None)


def operations() -> list[tuple[str, str]]:
    paths = api.get_openapi_schema()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods if path.startswith("/api/v1/")]


@pytest.mark.parametrize("method, path", operations())
def test_a_token_opens_nothing_but_the_inbox_and_a_key_no_inbox(program: Caller, method: str, path: str) -> None:
    alice = known_customer()
    address = re.sub(r"\{(delivery|job|order|export|message)_id\}", str(new_id()), path)
    address = re.sub(r"\{\w+_id\}", str(alice.pk), address)
    of_inbox = path.startswith("/api/v1/inbox")
    body = None if method in ("get", "delete") else {"ids": [1]}
    who = program if of_inbox else app(program, alice)
    assert who.ask(method, address, body).status_code == 401


def test_a_token_ends_with_its_time(program: Caller) -> None:
    alice = known_customer()
    now = timezone.now()
    token, over = inbox_tokens.issue(alice, timedelta(days=30), by=program.name)
    assert over - now <= inbox_tokens.LONGEST + timedelta(minutes=1)
    said = signing.loads(token.removeprefix("inbox_"), salt=inbox_tokens.SALT)
    assert Caller(token).ask("get", "inbox").status_code == 200
    past = [said[0], int(now.timestamp()), said[2]]
    assert Caller("inbox_" + signing.dumps(past, salt=inbox_tokens.SALT)).ask("get", "inbox").status_code == 401


def test_a_token_ends_with_the_key_that_issued_it(program: Caller) -> None:
    mine = app(program, known_customer())
    assert mine.ask("get", "inbox").status_code == 200
    keys.revoke(ApiKey.objects.get(), by="olga")
    assert mine.ask("get", "inbox").status_code == 401


def test_a_token_of_a_person_ends_when_they_leave(client: Any, admin_user: Any) -> None:
    alice = known_customer()
    client.force_login(admin_user)
    answer = client.post(f"/api/v1/customers/{alice.pk}/inbox-token", {}, content_type="application/json")
    mine = Caller(answer.json()["token"])
    assert mine.ask("get", "inbox").status_code == 200
    admin_user.is_active = False
    admin_user.save()
    assert mine.ask("get", "inbox").status_code == 401


@pytest.mark.parametrize("change", ["cut", "another", "unmarked", "of a link", "none", "key"])
def test_what_is_no_token_opens_nothing(program: Caller, change: str) -> None:
    alice, other = known_customer(), bob()
    token = app(program, alice).key
    forged = {
        "cut": token[:-1],
        "another": "inbox_" + signing.dumps([other.pk, 2**31, program.name], key="guessed", salt=inbox_tokens.SALT),
        "unmarked": token.removeprefix("inbox_"),
        "of a link": "inbox_" + signing.Signer(salt="punctual.unsubscribe").sign_object([alice.pk, "email"]),
        "none": "inbox_",
        "key": program.key,
    }
    assert Caller(forged[change]).ask("get", "inbox").status_code == 401


def test_a_session_of_the_admin_opens_no_inbox(client: Any, admin_user: Any) -> None:
    client.force_login(admin_user)
    assert client.get("/api/v1/inbox").status_code == 401


def test_a_token_is_issued_with_a_scope_of_its_own(caller: Make) -> None:
    alice = known_customer()
    others = caller(scopes=[scope for scope in ALL if scope != "inbox:issue"])
    response = others.ask("post", f"customers/{alice.pk}/inbox-token", {})
    assert (response.status_code, "inbox:issue" in response.data["detail"]) == (403, True)
    program = caller(scopes=ALL)
    assert program.ask("post", "customers/999/inbox-token", {}).status_code == 404
    for lifetime in (0, 59, 86_401, "60", None):
        assert program.ask("post", f"customers/{alice.pk}/inbox-token", {"lifetime": lifetime}).status_code == 422
    north, south = two_shops()
    limited = caller(scopes=ALL, tenants=["north"])
    assert limited.ask("post", f"customers/{south.customer.pk}/inbox-token", {}).status_code == 404
    assert limited.ask("post", f"customers/{north.customer.pk}/inbox-token", {}).status_code == 201


@pytest.mark.parametrize("ids", [[], [0], ["1"], [2**63], list(range(1, 202)), "all", {"a": 1}])
def test_ids_that_are_none_are_refused(program: Caller, ids: Any) -> None:
    assert app(program, known_customer()).ask("post", "inbox/read", {"ids": ids}).status_code == 422


@pytest.mark.parametrize("path, queries", [("inbox", 3), ("inbox/unread", 3)])
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, queries: int, many: int
) -> None:
    alice = known_customer()
    for _n in range(many):
        message(alice)
    mine = app(program, alice)
    with django_assert_num_queries(queries):
        assert mine.ask("get", path).status_code == 200


def test_a_token_is_nowhere_kept_not_even_to_be_answered_once_more(program: Caller) -> None:
    path = f"customers/{known_customer().pk}/inbox-token"
    first, again = (program.ask("post", path, {}, Idempotency_Key="k-1") for _n in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert not IdempotentRequest.objects.exists()
    assert first.data["token"] not in str(list(ApiCall.objects.values()))
    told = api.get_openapi_schema()["paths"]["/api/v1/customers/{customer_id}/inbox-token"]["post"]
    assert "Idempotency-Key" not in [one["name"] for one in told["parameters"]]
