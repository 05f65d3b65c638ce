"""Pages: each row on exactly one, whatever is added meanwhile."""

import pytest

from jobs.api import paging
from jobs.models import Job
from tests.api.callers import program
from tests.factories import make_job

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
