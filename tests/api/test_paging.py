"""Pages: each row on exactly one, whatever is added meanwhile."""

from typing import Any

import pytest

from jobs.api import paging
from jobs.api.scopes import SCOPES
from jobs.models import Job
from notifications.models import ReminderRule
from tests.api.callers import program
from tests.api.described import OPERATIONS
from tests.factories import alice, make_job

pytestmark = pytest.mark.django_db


def test_all_rows_are_on_one_page_each_though_some_are_added_meanwhile() -> None:
    caller = program("jobs:read")
    wanted = {str(make_job().pk) for _ in range(7)}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        told = caller.ask("get", f"jobs?limit=2&cursor={cursor}").data
        seen += [one["id"] for one in told["items"]]
        cursor = told["next"]
        make_job()
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)


def test_rows_of_one_time_are_told_apart_by_their_ids() -> None:
    first = make_job()
    for _ in range(4):
        make_job(run_at=first.run_at)
    rows, seen, cursor = Job.objects.all(), [], ""
    while True:
        told = paging.page(rows, 2, cursor, ("run_at", "pk"))
        seen += [one.pk for one in told["items"]]
        if told["next"] is None:
            break
        cursor = told["next"]
    assert len(seen) == len(set(seen)) == 5


LISTS = [
    one for one in OPERATIONS if one.of_keys and any(p["name"] == "cursor" for p in one.told.get("parameters", ()))
]
FORGED: dict[str, list[Any]] = {
    "numbers": [5, 5],
    "a number for a moment": [5, "0195f0a2-e5b0-7cc0-8e0c-111111111111"],
    "a moment out of the calendar": ["9999-12-31T23:59:59-23:59", "0195f0a2-e5b0-7cc0-8e0c-111111111111"],
    "one before it": ["0001-01-01T00:00:00+23:59", "0195f0a2-e5b0-7cc0-8e0c-111111111111"],
    "half a surrogate pair": ["\ud800"],
    "a NUL": ["\0"],
    "beyond 64 bits": [2**63],
    "a list": [[1]],
    "a truth": [True],
}


@pytest.mark.parametrize("values", FORGED.values(), ids=FORGED)
def test_a_cursor_that_somebody_made_up_is_no_mistake_of_ours(values: list[Any]) -> None:
    caller, customer, rule = program(*SCOPES), alice(), ReminderRule.objects.first()
    cursor = paging.write(values)
    assert LISTS and rule
    for one in LISTS:
        told = caller.get(f"{one.address(customer_id=customer.pk, rule_id=rule.pk)}?cursor={cursor}")
        assert told.status_code in (200, 422), (one.path, told.content)
    found = caller.get(f"customers/{customer.pk}/sent?cursor={paging.write(values[:1] * 2)}")
    assert found.status_code in (200, 422), found.content
