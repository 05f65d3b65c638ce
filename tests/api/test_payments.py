"""/payments: asked for by a date, with their whole series; paid, given back, disputed, written off."""

from typing import Any

import pytest

from notifications.models import Payment, ReminderRule
from tests.api.callers import Caller, Make
from tests.api.product import BLIND, known_customer, planned, shop, told_nowhere
from tests.factories import DAY, make_payment

pytestmark = pytest.mark.django_db


def body(customer: Any, /, **more: Any) -> dict[str, Any]:
    usual = {"customer": customer.pk, "subject": "Haircut", "amount": 4550, "currency": "EUR", "due_on": "2027-07-01"}
    return usual | more


def test_a_payment_is_answered_with_its_whole_series(program: Caller) -> None:
    response = program.ask("post", "payments", body(known_customer()))
    payment = Payment.objects.get()
    assert response.status_code == 201, response.content
    assert response["Location"] == f"/api/v1/payments/{payment.pk}"
    assert (response.data["due_on"], response.data["time_zone"]) == ("2027-07-01", "Europe/Berlin")
    rules = [one["rule"] for one in response.data["series"]]
    assert len(rules) == len(set(rules)) == planned(payment).count() == 5
    times = [one["send_at_venue"] for one in response.data["series"]]
    assert [moment[:10] for moment in times] == ["2027-06-28", "2027-07-01", "2027-07-02", "2027-07-08", "2027-07-15"]
    assert program.ask("get", response["Location"]).data["series"] == response.data["series"]


def test_the_same_external_id_is_the_same_payment(program: Caller) -> None:
    scene = shop()
    said = body(scene.customer, external_id="p-1", booking=scene.booking.pk)
    first, again = program.ask("post", "payments", said), program.ask("post", "payments", said)
    assert (first.status_code, again.status_code, again.data) == (201, 200, first.data)
    for other in ({"amount": 1}, {"due_on": "2027-07-02"}, {"time_zone": "Asia/Tokyo"}, {"booking": None}):
        refused = program.ask("post", "payments", said | other)
        assert (refused.status_code, next(iter(other)) in refused.data["detail"]) == (409, True)
        assert refused.data["payment"] == first.data["id"]


BAD = {
    "a moment as due date": ({"due_on": "2024-02-10T23:59:59Z"}, "due_on", "is a date, such as"),
    "a midnight as due date": ({"due_on": "2027-07-01T00:00:00"}, "due_on", "is a date, such as"),
    "seconds as due date": ({"due_on": 1800000000}, "due_on", "is a date, such as"),
    "no such day": ({"due_on": "2027-02-30"}, "due_on", "day"),
    "the year 9999": ({"due_on": "9999-12-31"}, "due_on", "year"),
    "the year 1": ({"due_on": "0001-01-01"}, "due_on", "year"),
    "nothing": ({"amount": 0}, "amount", "greater"),
    "less than nothing": ({"amount": -5}, "amount", "greater"),
    "too much": ({"amount": 10**16}, "amount", "less"),
    "a decimal": ({"amount": 45.5}, "amount", "integer"),
    "a text": ({"amount": "45"}, "amount", "integer"),
    "true": ({"amount": True}, "amount", "integer"),
    "no such currency": ({"currency": "XYZ"}, "currency", "ISO 4217"),
    "a long currency": ({"currency": "EURO"}, "currency", "3"),
    "no customer": ({"customer": 999}, "customer", "no customer 999"),
    "no booking": ({"booking": 999}, "booking", "no booking 999"),
    "paid already": ({"paid_amount": 4550}, "paid_amount", "not permitted"),
    "a status": ({"status": "paid"}, "status", "not permitted"),
}


@pytest.mark.parametrize("wrong, field, told", BAD.values(), ids=BAD)
def test_bad_input_names_its_field_and_what_to_do(program: Caller, wrong: Any, field: str, told: str) -> None:
    response = program.ask("post", "payments", body(known_customer(), **wrong))
    assert response.status_code == 422, response.content
    assert response.data["errors"][0]["field"] == field
    assert told in response.data["errors"][0]["message"]
    assert not Payment.objects.exists()


def test_payments_are_found_by_what_they_are(program: Caller) -> None:
    scene = shop()
    late = make_payment(scene.customer, due=-DAY, external_id="p-1", currency="CHF", booking=scene.booking)
    program.ask("post", f"payments/{late.pk}/write-off")

    def found(query: str) -> list[int]:
        response = program.ask("get", f"payments?{query}")
        assert response.status_code == 200, response.content
        return [one["id"] for one in response.data["items"]]

    assert found("") == [late.pk, scene.payment.pk]
    assert found("status=written_off") == found("currency=CHF") == found("external_id=p-1") == [late.pk]
    assert found(f"booking={scene.booking.pk}") == found(f"due_until={scene.payment.due_on}") == [late.pk]
    assert found(f"due_from={scene.payment.due_on}") == found("status=open") == [scene.payment.pk]
    assert program.ask("get", "payments?due_from=2027-07-01T00:00:00Z").status_code == 422


def test_money_comes_in_parts_and_the_last_one_ends_the_series(program: Caller) -> None:
    payment = shop().payment
    waiting = planned(payment).count()
    part = program.ask("post", f"payments/{payment.pk}/pay", {"amount": 50})
    assert (part.data["paid_amount"], part.data["status"], part.data["receipt"]) == (50, "open", [])
    rest = program.ask("post", f"payments/{payment.pk}/pay", {})
    assert (rest.data["paid_amount"], rest.data["status"]) == (4550, "paid")
    assert [(one["outcome"], one["reason"]) for one in rest.data["receipt"]] == [("withdrawn", "paid")] * waiting
    assert program.ask("post", f"payments/{payment.pk}/pay", {}).status_code == 409


def test_money_that_is_sent_twice_under_one_key_counts_once(program: Caller) -> None:
    payment = shop().payment
    first, again = (
        program.ask("post", f"payments/{payment.pk}/pay", {"amount": 50}, Idempotency_Key="k-1") for _n in range(2)
    )
    assert again.content == first.content
    assert Payment.objects.get().paid_amount == 50


def test_money_is_given_back_as_far_as_it_came_in(program: Caller) -> None:
    path = f"payments/{shop().payment.pk}"
    assert program.ask("post", f"{path}/refund", {}).status_code == 409
    program.ask("post", f"{path}/pay", {})
    assert program.ask("post", f"{path}/refund", {"amount": 5000}).status_code == 409
    assert program.ask("post", f"{path}/refund", {"amount": 550}).data["refunded_amount"] == 550
    assert program.ask("post", f"{path}/refund", {}).data["status"] == "refunded"


def test_money_that_bounces_is_owed_again(program: Caller) -> None:
    path = f"payments/{shop().payment.pk}"
    program.ask("post", f"{path}/pay", {})
    told = program.ask("post", f"{path}/bounce", {"amount": 4550}).data
    assert (told["status"], {one["outcome"] for one in told["receipt"]}) == ("open", {"planned"})
    assert program.ask("post", f"{path}/bounce", {}).status_code == 422


def test_a_dispute_stops_the_series_until_it_is_upheld(program: Caller) -> None:
    payment = shop().payment
    waiting = planned(payment).count()
    told = program.ask("post", f"payments/{payment.pk}/dispute").data
    assert (told["status"], {one["reason"] for one in told["receipt"]}) == ("disputed", {"disputed"})
    assert program.ask("post", f"payments/{payment.pk}/dispute").status_code == 409
    assert planned(payment).count() == 0
    assert program.ask("post", f"payments/{payment.pk}/uphold").data["status"] == "open"
    assert planned(payment).count() == waiting


@pytest.mark.parametrize("verb, status", [("write-off", "written_off"), ("cancel", "cancelled")])
def test_a_payment_ends(program: Caller, verb: str, status: str) -> None:
    payment = shop().payment
    told = program.ask("post", f"payments/{payment.pk}/{verb}").data
    assert (told["status"], {one["outcome"] for one in told["receipt"]}) == (status, {"withdrawn"})
    assert program.ask("post", f"payments/{payment.pk}/{verb}").status_code == 409


def test_another_due_date_moves_the_series(program: Caller) -> None:
    payment = shop().payment
    waiting = planned(payment).count()
    told = program.ask("post", f"payments/{payment.pk}/postpone", {"due_on": "2027-09-01"}).data
    assert (told["due_on"], told["revision"]) == ("2027-09-01", 2)
    outcomes = [one["outcome"] for one in told["receipt"]]
    assert (outcomes.count("withdrawn"), outcomes.count("planned")) == (waiting, 5)
    refused = program.ask("post", f"payments/{payment.pk}/postpone", {"due_on": "2027-09-01T00:00:00Z"})
    assert (refused.status_code, "is a date" in refused.data["detail"]) == (422, True)


def test_why_answers_for_every_rule(caller: Make) -> None:
    payment = shop().payment
    payment.deliveries.update(state="refused", detail="550 alice@example.com unknown")
    response = caller(scopes=BLIND).ask("get", f"payments/{payment.pk}/why")
    assert {one["rule"] for one in response.data} == set(
        ReminderRule.objects.filter(anchor="payment_due").values_list("name", flat=True)
    )
    told_nowhere(response, "alice@example.com")


READS = {"payments": 2, "payments/{pk}": 3, "payments/{pk}/why": 3}


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, many: int
) -> None:
    customer = known_customer()
    pk = [make_payment(customer).pk for _n in range(many)][-1]
    program.ask("get", "payments")
    with django_assert_num_queries(READS[path]):
        assert program.ask("get", path.format(pk=pk)).status_code == 200


CREATE, CANCEL = 17, 25


@pytest.mark.parametrize("many", [1, 5])
def test_changes_cost_the_same_however_many_rules_there_are(
    program: Caller, django_assert_max_num_queries: Any, many: int
) -> None:
    customer = known_customer()
    for n in range(many):
        ReminderRule.objects.create(name=f"more {n}", anchor="payment_due", offset=DAY * (n + 20), message="payment")
    program.ask("get", "payments")
    with django_assert_max_num_queries(40) as made:
        pk = program.ask("post", "payments", body(customer)).data["id"]
    with django_assert_max_num_queries(40) as gone:
        assert program.ask("post", f"payments/{pk}/cancel").status_code == 200
    assert (len(made), len(gone)) == (CREATE, CANCEL)
