"""Two tenants, over every operation of the description: a key of one is answered as if the other had nothing.

Asked twice, before and after the other's rows are made, and by the other's ids: word for word the same. What an
operation takes is known by its name here, so a new one fails until it is told how to be asked.
"""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import serializers
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs.files import Export
from jobs.ids import new_id
from jobs.models import Attempt, Job, JobEvent, KeyLimit, Order, Pause, TaskRate, UniqueKey
from notifications.models import (
    Booking,
    BulkChange,
    ConsentEvent,
    Customer,
    Delivery,
    DirectMessage,
    MessageTemplate,
    Payment,
    ReminderRule,
    RuleOverride,
    Suppression,
)
from tests.api.callers import Caller, Make
from tests.api.described import OPERATIONS, Described
from tests.api.product import known_customer, shop
from tests.factories import make_job

pytestmark = pytest.mark.django_db
ROWS: tuple[Any, ...] = (
    *(Job, Attempt, JobEvent, Order, Pause, KeyLimit, TaskRate, UniqueKey, PeriodicTask, Export),
    *(Booking, Payment, Customer, Delivery, ReminderRule, RuleOverride, MessageTemplate, Suppression),
    *(BulkChange, DirectMessage, ConsentEvent),
)
SECRET = ("Zander", "zoe@example.org", "south", "theirs", "Theirs")
WHY = {"reason": "x"}
BODIES: dict[str, Any] = {
    "reschedule_job": {"delay": 60},
    "reprioritise_job": {"priority": "high"},
    "reschedule_booking": {"starts_at": "2027-07-01T14:30", "duration": 60},
    "bounce_payment": {"amount": 1},
    "postpone_payment": {"due_on": "2027-09-01"},
    "record_consent": {"channel": "email", "granted": False, "evidence": "x"},
    "change_customer": {"name": "Mallory"},
    "change_booking": {"service": "Beard"},
    "change_rule": {"name": "Mine"},
    "create_override": {"service": "Beard", "active": False},
    "change_override": {"active": True},
    "put_template": {"subject": "x", "text": "x"},
    "resolve_delivery": {"outcome": "sent", "reason": "x"},
}
# Of the whole installation: refused, whatever there is, to who has some tenants of it.
REFUSED: dict[str, Any] = {
    "pause_queue": WHY,
    "resume_queue": None,
    "change_queue_limits": {"window": 5},
    "scale_queue": {"processes": 1, "reason": "x"},
    "list_key_limits": None,
    "set_key_limit": {"limit": 1},
    "delete_key_limit": None,
    "list_task_rates": None,
    "set_task_rate": {"rate": "1/m"},
    "delete_task_rate": None,
    "remove_suppression": None,
}
OF_ALL = {"name": "default", "key": "theirs:1"}  # names in paths that are no tenant's
EACH = pytest.mark.parametrize(
    "one", [pytest.param(one, id=one.name) for one in OPERATIONS if one.of_keys and set(one.names) - set(OF_ALL)]
)
LISTS = [one for one in OPERATIONS if one.of_keys and one.method == "get" and not set(one.names) - set(OF_ALL)]


def theirs() -> dict[str, Any]:
    """A row of everything that a tenant has, and their ids by the names that paths have for them."""
    south = shop("south", name="Zoë Zander", email="zoe@example.org")
    now = timezone.now()
    fields: dict[str, Any] = {"tenant": "south", "correlation_id": "theirs", "concurrency_key": "theirs:1"}
    for state in ("scheduled", "queued", "running", "succeeded", "cancelled", "expired"):
        make_job(state, unique_key=f"theirs-{state}", **fields)
    failed = make_job("failed", signature="Theirs: no", reason="Theirs: no", **fields)
    JobEvent.objects.create(job=failed, by="key:theirs", verb="cancel", reason="theirs", before="failed")
    UniqueKey.objects.create(key="theirs-gone", job=new_id(), state="failed")
    order = Order.objects.create(
        verb="retry",
        filters={"tenant": "south"},
        reason="theirs",
        by="key:theirs",
        asked_at=now,
        total=1,
        parameters={},
    )
    Pause.objects.create(kind="tenant", name="south", by="theirs", reason="theirs")
    KeyLimit.objects.create(key="theirs:1", limit=3)
    every = IntervalSchedule.objects.create(every=60, period="seconds")
    schedule = PeriodicTask.objects.create(name="theirs", task="probe.ok", interval=every)
    export = Export.objects.create(source="bookings", columns=[], by="key:theirs", scope=[[[], ["south"]]])
    rule = ReminderRule.objects.create(
        tenant="south", name="Theirs", anchor="booking_start", offset=timedelta(hours=-1), message="booking_reminder"
    )
    words = {"channel": "email", "locale": "en", "subject": "Theirs", "text": "Theirs"}
    change = BulkChange.objects.create(tenant="south", kind="cancel", filters={}, reason="theirs", actor="theirs")
    ids = {"job_id": failed.pk, "order_id": order.pk, "schedule_id": schedule.pk, "export_id": export.pk}
    return ids | {
        "customer_id": south.customer.pk,
        "booking_id": south.booking.pk,
        "payment_id": south.payment.pk,
        "delivery_id": south.booking.deliveries.order_by("pk")[0].pk,
        "rule_id": rule.pk,
        "override_id": RuleOverride.objects.create(rule=rule, tenant="south", service="Cut").pk,
        "template_id": MessageTemplate.objects.create(tenant="south", message="booking_reminder", **words).pk,
        "suppression_id": Suppression.objects.create(channel="email", address="zoe@example.org", cause="stop").pk,
        "change_id": change.pk,
        "message_id": DirectMessage.objects.create(
            tenant="south", channel="email", customer=south.customer, subject="Theirs", text="Theirs", by="theirs"
        ).pk,
    }


@pytest.fixture
def mine(caller: Make) -> Caller:
    known_customer(tenant="north")
    shop("north", external_id="c-2")
    make_job(tenant="north")
    return caller(tenants=["north"])


def everything() -> str:
    return str([serializers.serialize("json", model.objects.order_by("pk")) for model in ROWS])


def ask(mine: Caller, one: Described, body: Any = None, **ids: Any) -> Any:
    body = {} if body is None and one.has_body else body
    said: Any = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    return mine.client.generic(
        one.method.upper(),
        one.address(**OF_ALL | ids),
        headers={"Authorization": f"Bearer {mine.key}"},
        **said,
    )


def words(response: Any) -> str:
    """Without what goes on by itself: seconds since, moments."""
    text: str = response.content.decode()
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "<moment>", text)
    return re.sub(r'"(\w+_seconds|memory)": [\d.e-]+', r'"\1": <n>', text)


@EACH
def test_by_an_id_of_the_others_it_is_as_if_there_were_nothing(mine: Caller, one: Described) -> None:
    body = BODIES.get(one.name, REFUSED.get(one.name))
    nothing = ask(mine, one, body)
    assert nothing.status_code == (403 if one.name in REFUSED else 404), nothing.content
    ids = theirs()
    before = everything()
    found = ask(mine, one, body, **{name: ids[name] for name in one.names})
    assert (found.status_code, found.content) == (nothing.status_code, nothing.content)
    assert everything() == before


@EACH
def test_what_there_is_not_is_not_found_by_who_sees_all(caller: Make, one: Described) -> None:
    body = BODIES.get(one.name, REFUSED.get(one.name))
    assert ask(caller(), one, body).status_code == 404


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in LISTS])
def test_a_list_is_word_for_word_what_it_was_before_the_other_had_anything(mine: Caller, one: Described) -> None:
    queries = ["?every=60"] if one.name == "explain_schedule" else ["", "?limit=1"]
    queries = queries if "limit" in str(one.told["parameters"]) else queries[:1]
    queries += [
        f"?{name['name']}={value}"
        for name in one.told["parameters"]
        for value in {
            "tenant": ["south"],
            "tag": ["theirs"],
            "search": ["theirs", "theirs-failed", "zoe@example.org", "Zoë Zander"],
            "signature": ["Theirs: no"],
            "external_id": ["crm-1"],
            "email": ["zoe@example.org"],
            "state": ["failed"],
            "task": ["probe.ok"],
            "queue": ["default"],
        }.get(name["name"], [])
        if one.name not in ("list_deliveries",) or name["name"] != "state"
    ]

    def answers() -> list[tuple[int, str]]:
        found = []
        for query in queries:
            asked = Described(one.name, one.method, one.path + query, one.scope, one.of_keys, one.told)
            response = ask(mine, asked)
            assert response.status_code in ((200, 403) if one.name in REFUSED else (200,)), response.content
            found.append((response.status_code, words(response)))
        return found

    before = answers()
    theirs()
    after = answers()
    assert after == before
    assert not [word for word in SECRET if any(word in text for _code, text in after)]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_of_all_tenants_is_not_for_one(mine: Caller, name: str) -> None:
    (one,) = [one for one in OPERATIONS if one.name == name]
    theirs()
    before = everything()
    response = ask(mine, one, REFUSED[name])
    assert response.status_code == 403, response.content
    assert everything() == before
