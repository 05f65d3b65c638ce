"""Every field of every body, and every filter, with what nobody should send: never is it a mistake of ours."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from config.api import api
from notifications.api import routers
from notifications.models import MessageTemplate, ReminderRule, RuleOverride, Suppression
from tests.api.callers import Make
from tests.api.product import ALL, SECRET, shop, told_nowhere

pytestmark = pytest.mark.django_db

VALUES: list[Any] = [
    *(None, True, "", "\u202e\u200b\ufeff", "x" * 20_000),
    *(0, -1, 2**63, 1.5),
    *("2027-07-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "23:59:60"),
    *("{{ x", "{% include 'a' %}"),
    *([], [None], {"a": 1}),
]
WHEN = {"starts_at": "2027-07-01T14:30", "ends_at": "2027-07-01T15:30", "time_zone": "Europe/Berlin", "fold": 0}
WORDS = {"subject": "a", "text": "b", "sms": "c", "channels": ["email"], "useful_for": 60, "quiet_from": "21:00"}
SELECTION = {
    **{"service": "s", "location": "l", "customer": 1, "search": "x", "ids": [1]},
    **{"on": "2027-07-01", "starts_from": "2027-07-01T14:30:00Z", "starts_before": "2027-07-01T14:30:00Z"},
}
PERSON = {
    **{"external_id": "c-9", "name": "A", "email": "a@example.com", "phone": "+493023125123", "locale": "de"},
    **{"webhook_url": "https://example.com", "webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZI", "channels": ["sms"]},
    **{"time_zone": "Europe/Berlin", "tenant": ""},
}
RULE = {
    **{"name": "n", "anchor": "payment_due", "offset": 0, "at_time": "09:00", "channels": ["email"], "level": 1},
    **{"message": "payment_upcoming", "useful_for": 60, "tolerance": 0, "quiet_from": "21:00", "quiet_until": "08:00"},
    **{"quiet": "skip", "repeat_every": 86_400, "repeat_times": 2, "per_day": 1, "digest": True, "active": True},
}
ROW = {"external_id": "b", "customer_name": "A", "customer_email": "a@example.com", "service": "s", **WHEN}
del ROW["fold"]
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "bookings"): {"customer": 1, "service": "s", "location": "l", "external_id": "b-9", **WHEN},
    ("patch", "bookings/{booking}"): {"service": "s", "location": "l"},
    ("post", "bookings/{booking}/reschedule"): WHEN,
    ("post", "bookings/{booking}/confirm"): {"revision": 1},
    ("post", "bookings:import"): {"rows": [ROW], "tenant": "", "time_zone": "Europe/Berlin", "reopen": False},
    ("post", "payments"): {
        **{"customer": 1, "booking": 1, "subject": "s", "amount": 1, "currency": "EUR", "due_on": "2027-07-01"},
        **{"time_zone": "Europe/Berlin", "external_id": "p-9"},
    },
    ("post", "payments/{payment}/pay"): {"amount": 1},
    ("post", "payments/{payment}/bounce"): {"amount": 1},
    ("post", "payments/{payment}/postpone"): {"due_on": "2027-07-01"},
    ("post", "customers"): PERSON,
    ("patch", "customers/{customer}"): PERSON,
    ("post", "customers/{customer}/consents"): {"channel": "sms", "granted": True, "evidence": "e"},
    ("post", "customers/{customer}/inbox-token"): {"lifetime": 60},
    ("post", "suppressions"): {"channel": "webhook", "address": "https://example.com", "reason": "r"},
    ("post", "rules?dry_run=true"): RULE,
    ("patch", "rules/{rule}"): RULE,
    ("post", "rules/{rule}/overrides"): {
        **{"customer": 1, "service": "s", "location": "l", "active": True, "offset": 0, "at_time": "09:00"},
        **{"channels": ["sms"], "message": "payment_upcoming", "useful_for": 60, "tenant": ""},
    },
    ("put", "rules/{rule}/overrides/{override}"): {
        "active": True,
        "offset": 0,
        "at_time": "09:00",
        "channels": ["sms"],
    },
    ("post", "templates"): {
        "message": "m",
        "channel": "email",
        "locale": "de",
        "subject": "s",
        "text": "t",
        "html": "h",
    },
    ("put", "templates/{template}"): {"subject": "s", "text": "t", "html": "h"},
    ("post", "templates/{template}/preview"): {"booking": 1, "payment": 1, "subject": "s", "text": "t", "html": "h"},
    ("post", "deliveries/{delivery}/resolve"): {"outcome": "sent", "reason": "r"},
    ("post", "messages"): {
        **{"external_id": "m-9", "channel": "email", "customer": 1, "address": "", "template": "", "subject": "s"},
        **{"text": "t", "html": "h", "variables": {"a": 1}, "level": "info", "metadata": {"a": 1}, "priority": "low"},
        **{"send_at": "2027-07-01T14:30:00Z", "useful_for": 60},
    },
    ("post", "bulk-changes"): {
        **{"kind": "cancel", "selection": SELECTION, "days": 0, "message": WORDS, "reason": "r", "tenant": ""},
    },
}
NESTED = {"bulk-changes": ("selection", "message"), "bookings:import": ("rows",)}


@pytest.fixture
def places(db: None) -> dict[str, Any]:
    scene = shop()
    rule = ReminderRule.objects.get(name="1 hour before a booking")
    return {
        "customer": scene.customer.pk,
        "booking": scene.booking.pk,
        "payment": scene.payment.pk,
        "delivery": scene.booking.deliveries.order_by("pk")[0].pk,
        "rule": rule.pk,
        "override": RuleOverride.objects.create(rule=rule, service="s").pk,
        "template": MessageTemplate.objects.create(message="m", channel="email", text="t", subject="s").pk,
        "suppression": Suppression.objects.create(channel="email", address="x@example.com", cause="stop").pk,
    }


def spoiled(path: str, body: dict[str, Any]) -> Any:
    """The body with each of its fields, in turn, as each of the values."""
    for field in body:
        for value in VALUES:
            yield body | {field: value}
    for name in NESTED.get(path.partition("?")[0], ()):
        inner = body[name][0] if isinstance(body[name], list) else body[name]
        for one in spoiled("", inner):
            yield body | {name: [one] if isinstance(body[name], list) else one}


@pytest.mark.parametrize("method, path", BODIES, ids=[" ".join(one) for one in BODIES])
def test_no_value_of_a_field_is_a_mistake_of_ours(caller: Make, places: Any, method: str, path: str) -> None:
    program, body = caller(scopes=ALL), BODIES[method, path]
    usual = {name: places[name] for name in ("customer", "booking", "payment") if name in body}
    wrong = []
    for said in spoiled(path, body | usual):
        response = program.ask(method, path.format(**places), said)
        if response.status_code >= 500:
            wrong.append((json.dumps(said)[:300], response.content))
    assert not wrong


OURS = {tag for router in routers.ALL for tag in router.tags or ()}
LISTS = [
    (path.removeprefix("/api/v1/"), [one["name"] for one in methods["get"]["parameters"] if one["in"] == "query"])
    for path, methods in api.get_openapi_schema()["paths"].items()
    if "get" in methods and set(methods["get"].get("tags", ())) & OURS
]


@pytest.mark.parametrize(
    "path, names", [(path, names) for path, names in LISTS if names], ids=lambda one: str(one)[:40]
)
def test_no_value_of_a_filter_is_a_mistake_of_ours(caller: Make, places: Any, path: str, names: list[str]) -> None:
    program, blind = caller(scopes=ALL), caller(scopes=[one for one in ALL if one != "customers:reveal"])
    address = path.replace("_id}", "}").format(**places)
    wrong = []
    for name in names:
        for value in VALUES:
            said = value if isinstance(value, str) else json.dumps(value)
            response = program.ask("get", f"{address}?{name}={quote(said[:2_000])}")
            if response.status_code >= 500:
                wrong.append((name, said[:100], response.content))
        told_nowhere(blind.ask("get", f"{address}?{name}=alice@example.com"), *SECRET[:2], *SECRET[3:])
    assert not wrong


def test_every_body_of_the_product_is_among_them() -> None:
    """An operation that is new has to be tried here too."""
    described = set()
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            ours = set(operation.get("tags", ())) & OURS and not path.startswith("/api/v1/inbox")
            if ours and "requestBody" in operation:
                described.add((method, path.removeprefix("/api/v1/").replace("_id}", "}")))
    tried = {(method, path.partition("?")[0]) for method, path in BODIES}
    like_pay = {("post", "payments/{payment}/refund")}
    assert described - tried - like_pay == set()
