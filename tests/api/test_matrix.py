"""Each key, each scope, each operation: whoever lacks what an operation needs is refused before anything is looked at.

The operations are those of the description, so that a new one is asked here on the day it is added.
"""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from jobs.access import ApiCall
from jobs.api.orders import SCOPE_OF
from jobs.api.scopes import SCOPES
from jobs.bulk_orders import PERMISSIONS
from jobs.ids import new_id
from jobs.models import Job, Order
from tests.api.callers import Make
from tests.api.described import OPERATIONS, Described
from tests.factories import make_job

pytestmark = pytest.mark.django_db

EACH = pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in OPERATIONS])
SCOPED = pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in OPERATIONS if one.scope])
# Whose scope is not told by their address: they ask for it themselves, which the tests below look at.
ASK_THEMSELVES = {"create_order", "call_off_order"}
FOR_ANY_KEY = {"list_job_types"}
# The scopes once more, by hand: what a router declares by mistake is no promise.
NEEDED = {
    "jobs:enqueue": "create_job create_jobs",
    "jobs:read": "list_jobs get_job list_failed_jobs list_failure_groups list_orders get_order",
    "jobs:cancel": "cancel_job",
    "jobs:retry": "retry_job",
    "jobs:postpone": "run_job_now reschedule_job",
    "jobs:reprioritise": "reprioritise_job",
    "queues:read": "list_queues get_queue list_pauses list_workers",
    "queues:pause": "pause_queue resume_queue pause resume",
    "queues:change": "change_queue_limits",
    "jobs:clean": "clean_queue",
    "queues:scale": "scale_queue",
    "limits:read": "list_key_limits list_task_rates",
    "limits:write": "set_key_limit delete_key_limit set_task_rate delete_task_rate",
    "exports:make": "list_export_sources make_export list_exports get_export get_export_content",
    "schedules:read": "list_schedules explain_schedule get_schedule list_schedule_runs",
    "schedules:write": "create_schedule delete_schedule pause_schedule resume_schedule run_schedule",
    "bookings:read": "list_bookings get_booking explain_booking",
    "bookings:write": (
        "create_booking change_booking reschedule_booking cancel_booking confirm_booking no_show_booking "
        "complete_booking import_bookings"
    ),
    "payments:read": "list_payments get_payment explain_payment",
    "payments:write": (
        "create_payment record_payment refund_payment bounce_payment dispute_payment uphold_payment "
        "write_off_payment cancel_payment postpone_payment"
    ),
    "customers:read": "list_customers get_customer list_consents list_consent_events",
    "customers:write": "create_customer change_customer",
    "deliveries:read": "list_sent list_deliveries list_doubts get_delivery",
    "consents:write": "record_consent",
    "suppressions:read": "list_suppressions",
    "suppressions:write": "add_suppression remove_suppression",
    "rules:read": "list_rules get_rule list_overrides",
    "rules:write": "create_rule change_rule create_override change_override drop_override",
    "templates:read": "list_templates get_template preview_template",
    "templates:write": "create_template put_template delete_template",
    "deliveries:cancel": "cancel_delivery",
    "deliveries:resend": "resend_delivery",
    "deliveries:resolve": "resolve_delivery",
    "inbox:issue": "issue_inbox_token",
    "bulk:run": "start_bulk_change call_off_bulk_change",
    "bulk:read": "list_bulk_changes get_bulk_change",
    "messages:send": "send_message withdraw_message",
    "messages:read": "list_sent_messages get_message",
}


def asked(client: Client, one: Described, **headers: str) -> Any:
    said: Any = {"data": "{}", "content_type": "application/json"} if one.has_body else {}
    return client.generic(one.method.upper(), one.address(), headers=headers, **said)


@EACH
def test_nobody_is_answered_without_a_key(one: Described) -> None:
    for headers in ({}, {"Authorization": "Bearer pk_0123456789_x"}, {"Authorization": "Basic YTpi"}):
        response = asked(Client(), one, **headers)
        assert response.status_code == 401, response.content
        assert response["WWW-Authenticate"] == "Bearer"


@SCOPED
def test_a_key_with_every_other_scope_is_refused(caller: Make, one: Described) -> None:
    others = [scope for scope in SCOPES if scope != one.scope]
    response = asked(Client(), one, Authorization=f"Bearer {caller(scopes=others).key}")
    assert (response.status_code, f"scope {one.scope}" in response.json()["detail"]) == (403, True)
    assert not ApiCall.objects.exists()


@SCOPED
def test_its_scope_alone_opens_the_door(caller: Make, one: Described) -> None:
    """What else it needs is told by name, and is not that scope."""
    response = asked(Client(), one, Authorization=f"Bearer {caller(scopes=[one.scope]).key}")
    assert response.status_code not in (401, 500), response.content
    assert f"scope {one.scope}." not in response.content.decode()


@SCOPED
def test_a_key_whose_maker_has_lost_the_right_is_refused(caller: Make, one: Described) -> None:
    olga = User.objects.create_user("olga", is_staff=True)
    app, _dot, codename = SCOPES[str(one.scope)].partition(".")
    olga.user_permissions.set(Permission.objects.exclude(content_type__app_label=app, codename=codename))
    assert asked(Client(), one, Authorization=f"Bearer {caller(by=olga).key}").status_code == 403


@SCOPED
def test_a_person_needs_the_permission_and_for_a_change_the_token_of_the_page(one: Described) -> None:
    olga = User.objects.create_user("olga", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    response = asked(client, one)
    assert response.status_code == 403
    if one.method != "get":
        olga.is_superuser = True
        olga.save()
        assert (asked(client, one).status_code, ApiCall.objects.count()) == (403, 0)


@SCOPED
def test_who_is_no_member_of_staff_is_nobody(one: Described) -> None:
    client = Client()
    client.force_login(User.objects.create_user("guest", is_superuser=True))
    assert asked(client, one).status_code == 401


def test_each_operation_needs_the_scope_that_is_written_here() -> None:
    by_name = {name: scope for scope, names in NEEDED.items() for name in names.split()}
    assert {one.name: one.scope for one in OPERATIONS if one.scope} == by_name


def test_what_asks_for_no_scope_is_known_by_name() -> None:
    without = {one.name for one in OPERATIONS if one.of_keys and one.scope is None}
    assert without == ASK_THEMSELVES | FOR_ANY_KEY


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for one in OPERATIONS if not one.of_keys])
def test_the_most_powerful_key_opens_no_inbox(caller: Make, one: Described) -> None:
    assert "/inbox" in one.path
    assert asked(Client(), one, Authorization=f"Bearer {caller().key}").status_code == 401


@pytest.mark.parametrize("verb", Order.Verb.values)
def test_an_order_needs_the_scope_of_its_verb(caller: Make, verb: str) -> None:
    needed = SCOPE_OF[PERMISSIONS[Order.Verb(verb)]]
    asks = caller(scopes=[scope for scope in SCOPES if scope != needed])
    job = make_job()
    body = {"verb": verb, "which": {"ids": [str(job.pk)]}, "reason": "x"}
    for dry_run in (True, False):
        assert asks.post("/jobs/orders", body | {"dry_run": dry_run}).status_code == 403
    made: Any = {
        "id": new_id(),
        "verb": verb,
        "reason": "x",
        "by": "olga",
        "filters": {},
        "asked_at": timezone.now(),
        "total": 1,
    }
    order = Order.objects.create(**made)
    assert asks.post(f"/jobs/orders/{order.pk}/call-off").status_code == 403
    assert Job.objects.get().state == "scheduled"
