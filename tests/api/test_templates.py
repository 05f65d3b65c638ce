"""/templates: words that cannot be said are refused when they are saved, and shown with a real booking."""

from typing import Any

import pytest

from notifications.models import MessageTemplate, Trial
from tests.api.callers import Caller, Make
from tests.api.product import ALL, BLIND, shop, told_nowhere, two_shops

pytestmark = pytest.mark.django_db
NEW = {
    "message": "booking_upcoming",
    "channel": "email",
    "locale": "de",
    "subject": "Termin {{ starts_short }}",
    "text": "Hallo {{ customer.name }}",
    "html": "<p>Hallo {{ customer.name }}</p>",
}


def test_words_are_made_read_changed_and_dropped(program: Caller) -> None:
    made = program.ask("post", "templates", NEW)
    assert made.status_code == 201, made.content
    assert program.ask("post", "templates", NEW).status_code == 409
    assert program.ask("get", made["Location"]).data == made.data
    assert [one["id"] for one in program.ask("get", "templates?channel=email&locale=de").data["items"]] == [
        made.data["id"]
    ]
    changed = program.ask("put", f"templates/{made.data['id']}", {"subject": "Neu", "text": "Bis {{ starts }}"})
    assert (changed.data["subject"], changed.data["html"], changed.data["locale"]) == ("Neu", "", "de")
    assert program.ask("delete", f"templates/{made.data['id']}").status_code == 204
    assert program.ask("delete", f"templates/{made.data['id']}").status_code == 404
    assert not MessageTemplate.objects.exists()


BAD = {
    "a placeholder that is not known": ({"text": "{{ custmer.name }}"}, "text", "custmer"),
    "a hidden one": ({"text": "{% if false %}{{ customer.email }}{% endif %}x"}, "text", "customer.email"),
    "no Liquid": ({"text": "{{ customer.name"}, "text", ""),
    "no subject": ({"subject": ""}, "subject", "empty"),
    "two lines": ({"subject": "a\nb"}, "subject", "one line"),
    "no text": ({"text": " "}, "text", ""),
    "an endless loop": (
        {"text": "{% for a in (1..99999999) %}{% for b in (1..9999) %}x{% endfor %}{% endfor %}"},
        "text",
        "",
    ),
    "too long": ({"text": "x" * 100_001}, "text", "100000"),
    "two SMS": ({"channel": "sms", "text": "x" * 161}, "text", "2 SMS"),
    "a path": ({"message": "../../etc/passwd"}, "message", "pattern"),
    "no locale": ({"locale": "xx-yy-zz"}, "locale", "locale"),
    "no channel": ({"channel": "fax"}, "channel", "email"),
}


@pytest.mark.parametrize("wrong, field, told", BAD.values(), ids=BAD)
def test_words_that_cannot_be_said_are_refused(program: Caller, wrong: Any, field: str, told: str) -> None:
    response = program.ask("post", "templates", NEW | wrong)
    assert response.status_code == 422, response.content
    assert response.data["errors"][0]["field"] == field
    assert told in response.data["errors"][0]["message"]
    assert not MessageTemplate.objects.exists()


def test_words_are_shown_with_a_real_booking_and_nothing_is_sent(program: Caller, mailoutbox: Any) -> None:
    scene = shop()
    pk = program.ask("post", "templates", NEW).data["id"]
    shown = program.ask("post", f"templates/{pk}/preview", {"booking": scene.booking.pk})
    assert (shown.status_code, shown.data["text"].strip()) == (200, "Hallo Alice Ähre")
    tried = program.ask("post", f"templates/{pk}/preview", {"booking": scene.booking.pk, "text": "Bis {{ starts }}"})
    assert tried.data["text"].startswith("Bis ")
    assert MessageTemplate.objects.get().text == NEW["text"]
    assert not mailoutbox and not Trial.objects.exists()
    wrong = program.ask("post", f"templates/{pk}/preview", {"payment": scene.payment.pk})
    assert (wrong.status_code, "starts_short" in wrong.data["detail"]) == (422, True)
    for said in ({}, {"booking": 1, "payment": 1}, {"booking": 999}, {"booking": "1"}, {"to": "a@example.com"}):
        assert program.ask("post", f"templates/{pk}/preview", said).status_code == 422


def test_who_may_not_see_customers_sees_no_words_about_them(caller: Make) -> None:
    scene = shop()
    pk = caller(scopes=ALL).ask("post", "templates", NEW).data["id"]
    refused = caller(scopes=BLIND).ask("post", f"templates/{pk}/preview", {"booking": scene.booking.pk})
    assert refused.status_code == 403
    told_nowhere(refused)
    no_bookings = caller(scopes=[scope for scope in ALL if scope != "bookings:read"])
    assert no_bookings.ask("post", f"templates/{pk}/preview", {"booking": scene.booking.pk}).status_code == 403


def test_a_tenant_reads_shared_words_and_changes_only_its_own(caller: Make) -> None:
    north, south = two_shops()
    mine, theirs = caller(scopes=ALL, tenants=["north"]), caller(scopes=ALL, tenants=["south"])
    shared = caller(scopes=ALL).ask("post", "templates", NEW).data["id"]
    made = mine.ask("post", "templates", NEW)
    assert (made.status_code, made.data["tenant"]) == (201, "north")
    own = made.data["id"]
    words = {"subject": "s", "text": "t"}
    assert mine.ask("get", f"templates/{shared}").status_code == 200
    assert mine.ask("put", f"templates/{shared}", words).status_code == 403
    assert mine.ask("delete", f"templates/{shared}").status_code == 403
    assert [one["id"] for one in theirs.ask("get", "templates").data["items"]] == [shared]
    for method, path, said in (
        ("get", f"templates/{own}", None),
        ("put", f"templates/{own}", words),
        ("delete", f"templates/{own}", None),
        ("post", f"templates/{own}/preview", {"booking": south.booking.pk}),
    ):
        assert theirs.ask(method, path, said).status_code == 404
    assert mine.ask("post", f"templates/{own}/preview", {"booking": south.booking.pk}).status_code == 422
    assert mine.ask("post", f"templates/{own}/preview", {"booking": north.booking.pk}).status_code == 200
    all_of_them = caller(scopes=ALL)
    assert all_of_them.ask("post", f"templates/{own}/preview", {"booking": south.booking.pk}).status_code == 422


@pytest.mark.parametrize("many", [1, 5])
def test_a_list_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, many: int
) -> None:
    for n in range(many):
        program.ask("post", "templates", NEW | {"message": f"m{n}"})
    program.ask("get", "templates")
    with django_assert_num_queries(2):
        assert len(program.ask("get", "templates").data["items"]) == many
