"""The rescuer's look at open groups: the jobs of those that still have some to run are not counted."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import groups
from jobs.models import Group
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def group(*states: str) -> Group:
    made = Group.objects.create(size=len(states))
    for n, state in enumerate(states):
        make_job(state, group_id=made.pk, group_index=n)
    return made


def test_only_groups_that_may_be_complete_are_counted() -> None:
    busy, over = group("succeeded", "running", "scheduled"), group("succeeded", "succeeded")
    with CaptureQueriesContext(connection) as asked:
        assert groups.sweep(10) == 1
    assert list(Group.objects.filter(finished_at=None)) == [busy]
    [counted] = [one["sql"] for one in asked.captured_queries if "COUNT(" in one["sql"] and "jobs_group" in one["sql"]]
    ids = counted.replace("-", "")
    assert over.pk.hex in ids and busy.pk.hex not in ids


def test_where_nothing_can_be_complete_nothing_is_counted() -> None:
    group("succeeded", "scheduled"), group("running")
    with CaptureQueriesContext(connection) as asked:
        assert groups.sweep(10) == 0
    assert not [one for one in asked.captured_queries if "COUNT(" in one["sql"]]
