"""/bookings, read: found by what they are, page by page, at a fixed cost, and told to nobody who may not know."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.callers import Caller, Make
from tests.api.product import BLIND, known_customer, shop
from tests.factories import bob, make_booking

pytestmark = pytest.mark.django_db


def test_bookings_are_found_by_what_they_are(program: Caller) -> None:
    mine, his = known_customer(), bob()
    haircut = make_booking(mine, starts=datetime(2027, 7, 1, 22, 30, tzinfo=UTC), location="A", external_id="b-1")
    beard = make_booking(his, starts=datetime(2027, 7, 2, 8, 0, tzinfo=UTC), service="Beard")
    off = make_booking(his, starts=datetime(2027, 7, 3, 8, 0, tzinfo=UTC))
    program.ask("post", f"bookings/{off.pk}/cancel")

    def found(query: str) -> list[int]:
        response = program.ask("get", f"bookings?{query}")
        assert response.status_code == 200, response.content
        return [one["id"] for one in response.data["items"]]

    assert found("") == [off.pk, beard.pk, haircut.pk]
    assert found("day=2027-07-02") == [beard.pk, haircut.pk]  # 22:30 in UTC is the next day in Berlin
    assert found("from=2027-07-02T00:00:00Z&until=2027-07-03T00:00:00Z") == [beard.pk]
    assert found("status=cancelled") == [off.pk]
    assert found(f"customer={mine.pk}") == [haircut.pk]
    assert found("service=Beard") == [beard.pk]
    assert found("location=A") == [haircut.pk]
    assert found("external_id=b-1") == [haircut.pk]
    assert found("search=hre") == [haircut.pk]
    assert found("search=bob%20beard") == [beard.pk]
    assert found("status=booked&service=Haircut") == [haircut.pk]


def test_pages_follow_one_another(program: Caller) -> None:
    customer = known_customer()
    made = [make_booking(customer).pk for _n in range(5)]
    seen: list[int] = []
    cursor: Any = ""
    while cursor is not None:
        told = program.ask("get", f"bookings?limit=2&cursor={cursor}").data
        seen += [one["id"] for one in told["items"]]
        cursor = told["next"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", ["day=2027-07-01T00:00:00Z", "day=0", "from=2027-07-01", "from=0", "status=lost", "customer=x", "q=a"]
)
def test_a_filter_that_says_nothing_is_refused(program: Caller, query: str) -> None:
    assert program.ask("get", f"bookings?{query}").status_code == 422


def test_a_search_tells_nothing_to_who_may_not_see_customers(caller: Make) -> None:
    shop()
    blind = caller(scopes=BLIND)
    answers = [blind.ask("get", f"bookings?search={word}") for word in ("alice", "nobody")]
    assert [one.status_code for one in answers] == [403, 403]
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("number", [2**63, "x"])
def test_a_number_that_no_booking_can_have_is_refused(program: Caller, number: object) -> None:
    assert program.ask("get", f"bookings/{number}").status_code == 422


READS = {"bookings": 2, "bookings/{pk}": 3, "bookings/{pk}/why": 3}


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("many", [1, 5])
def test_reading_costs_the_same_however_much_there_is(
    program: Caller, django_assert_num_queries: Any, path: str, many: int
) -> None:
    customer = known_customer()
    pk = [make_booking(customer).pk for _n in range(many)][-1]
    program.ask("get", "bookings")  # the first request of a minute notes that the key is used
    with django_assert_num_queries(READS[path]):
        assert program.ask("get", path.format(pk=pk)).status_code == 200
