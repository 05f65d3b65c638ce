"""/deliveries: found, explained step by step, withdrawn, sent again; doubts are resolved by who knows, and why."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Attempt, Job
from notifications.models import Delivery, ProviderEvent
from tests.api.callers import Caller, Make
from tests.api.product import ALL, BLIND, known_customer, shop, told_nowhere
from tests.factories import HOUR, make_booking

pytestmark = pytest.mark.django_db


def one(**changes: Any) -> Delivery:
    """The first reminder of a booking, as it was changed."""
    row = shop().booking.deliveries.order_by("send_at")[0]
    Delivery.objects.filter(pk=row.pk).update(**changes) if changes else None
    row.refresh_from_db()
    return row


def test_deliveries_are_found_by_what_they_are(program: Caller) -> None:
    scene = shop()
    first, second, _third = scene.booking.deliveries.order_by("send_at")
    Delivery.objects.filter(pk=first.pk).update(state="skipped", reason="rule_off", channel="sms")

    def found(query: str) -> list[str]:
        response = program.ask("get", f"deliveries?{query}")
        assert response.status_code == 200, response.content
        return [row["id"] for row in response.data["items"]]

    assert len(found("")) == 8
    assert found("state=skipped") == found("channel=sms") == found("reason=rule_off") == [str(first.pk)]
    assert len(found(f"booking={scene.booking.pk}")) == 3
    assert len(found(f"payment={scene.payment.pk}&customer={scene.customer.pk}")) == 5
    assert found(f"rule={second.rule_id}") == [str(second.pk)]
    start = second.send_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert str(first.pk) not in found(f"from={start}&booking={scene.booking.pk}")
    assert found(f"until={start}&booking={scene.booking.pk}") == [str(first.pk)]
    for query in ("state=lost", "rule=x", "from=2027-07-01", "detail=a", "state__in=sent"):
        assert program.ask("get", f"deliveries?{query}").status_code == 422


def test_a_delivery_tells_its_whole_story(program: Caller) -> None:
    now = timezone.now()
    row = one(state="sent", intent_at=now, sent_at=now + timedelta(seconds=1), provider_id="p-1", outcome="delivered")
    job = Job.objects.get(pk=row.pk)
    story = {"outcome": "errored", "error": "Busy: try later", "started_at": now - HOUR}
    Attempt.objects.create(job=job, number=1, **story)
    ProviderEvent.objects.create(provider="x", event_id="1", kind="delivered", delivery=row, at=now + HOUR)
    told = program.ask("get", f"deliveries/{row.pk}").data
    assert [(step["what"], step["detail"]) for step in told["log"] if step["what"] != "planned"] == [
        ("attempt 1 errored", "Busy: try later"),
        ("handed to the provider", ""),
        ("taken by the provider", "p-1"),
        ("delivered", ""),
        ("sent", ""),
    ]


def test_what_machines_said_is_masked(caller: Make) -> None:
    row = one(state="refused", detail="550 alice@example.com unknown")
    Attempt.objects.create(job_id=row.pk, number=1, outcome="errored", error="to +49 1512 3456789: no")
    blind, program = caller(scopes=BLIND), caller(scopes=ALL)
    for path in (f"deliveries/{row.pk}", "deliveries"):
        told_nowhere(blind.ask("get", path), "alice@example.com", "3456789")
    assert "alice@example.com" in program.ask("get", f"deliveries/{row.pk}").content.decode()


def test_a_delivery_is_withdrawn_while_it_waits(program: Caller) -> None:
    row = one()
    told = program.ask("post", f"deliveries/{row.pk}/cancel").data
    assert (told["state"], told["reason"]) == ("skipped", "job_cancelled")
    assert program.name in Delivery.objects.get(pk=row.pk).detail
    assert Job.objects.get(pk=row.pk).state == "cancelled"
    again = program.ask("post", f"deliveries/{row.pk}/cancel")
    assert (again.status_code, "It is skipped" in again.data["detail"]) == (409, True)


@pytest.mark.parametrize("state", ["sending", "sent", "refused", "in_doubt"])
def test_what_does_not_wait_is_not_withdrawn(program: Caller, state: str) -> None:
    row = one(state=state)
    assert program.ask("post", f"deliveries/{row.pk}/cancel").status_code == 409
    assert Delivery.objects.get(pk=row.pk).state == state
    assert Job.objects.get(pk=row.pk).state == "scheduled"


def test_one_that_may_have_been_taken_before_stays_in_doubt(program: Caller) -> None:
    row = one(doubts=1)
    assert program.ask("post", f"deliveries/{row.pk}/cancel").data["state"] == "in_doubt"


def test_a_refused_one_is_sent_again_once_it_is_due(program: Caller) -> None:
    row = one(state="refused", send_at=timezone.now() - HOUR)
    Job.objects.filter(pk=row.pk).update(state="failed", finished_at=timezone.now())
    assert program.ask("post", f"deliveries/{row.pk}/resend").data["state"] == "planned"
    assert Job.objects.get(pk=row.pk).state == "scheduled"
    assert program.ask("post", f"deliveries/{row.pk}/resend").status_code == 409


def test_one_that_is_not_due_is_not_sent_again(program: Caller) -> None:
    assert program.ask("post", f"deliveries/{one(state='skipped').pk}/resend").status_code == 409


@pytest.mark.parametrize("outcome, state", [("sent", "sent"), ("not_sent", "refused"), ("again", "planned")])
def test_a_doubt_is_resolved_by_who_knows(program: Caller, outcome: str, state: str) -> None:
    row = one(state="in_doubt", doubts=1, intent_at=timezone.now())
    Job.objects.filter(pk=row.pk).update(state="succeeded", finished_at=timezone.now())
    assert [doubt["id"] for doubt in program.ask("get", "doubts").data["items"]] == [str(row.pk)]
    said = {"outcome": outcome, "reason": "asked the provider"}
    told = program.ask("post", f"deliveries/{row.pk}/resolve", said).data
    assert (told["state"], "asked the provider" in told["detail"], program.name in told["detail"]) == (
        state,
        True,
        True,
    )
    if outcome != "again":
        assert program.ask("post", f"deliveries/{row.pk}/resolve", said).status_code == 409
        assert program.ask("get", "doubts").data["items"] == []


@pytest.mark.parametrize(
    "wrong",
    [{"outcome": "lost", "reason": "x"}, {"outcome": "sent"}, {"outcome": "sent", "reason": ""}, {"reason": "x"}],
)
def test_a_doubt_is_not_resolved_without_an_outcome_and_a_reason(program: Caller, wrong: Any) -> None:
    row = one(state="in_doubt", doubts=1)
    assert program.ask("post", f"deliveries/{row.pk}/resolve", wrong).status_code == 422
    blank = program.ask("post", f"deliveries/{row.pk}/resolve", {"outcome": "sent", "reason": "  "})
    assert blank.status_code == 422
    assert Delivery.objects.get(pk=row.pk).state == "in_doubt"


@pytest.mark.parametrize("verb", ["", "/cancel", "/resend"])
def test_an_id_that_no_delivery_can_have_is_refused(program: Caller, verb: str) -> None:
    assert program.ask("post" if verb else "get", f"deliveries/x{verb}").status_code == 422


@pytest.mark.parametrize("path, queries", [("deliveries", 2), ("doubts", 2), ("deliveries/{pk}", 5)])
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, queries: int, many: int
) -> None:
    customer = known_customer()
    rows = [make_booking(customer).deliveries.order_by("pk")[0] for _n in range(many)]
    Delivery.objects.update(doubts=1)
    program.ask("get", "deliveries")
    with django_assert_num_queries(queries):
        assert program.ask("get", path.format(pk=rows[0].pk)).status_code == 200
