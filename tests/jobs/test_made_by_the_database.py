"""When a job was made is said by the clock that says when an order was given: a host's own may be fast."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from jobs import bulk_orders, ledger
from jobs.bulk_orders import Wish
from jobs.ids import new_id
from jobs.listing import Selection
from jobs.models import Job, UniqueKey
from jobs.scopes import ALL
from tests.factories import DAY, MINUTE
from tests.probes import ok

pytestmark = pytest.mark.django_db
ALL_OF_A_QUEUE = Selection(queue="default")


@pytest.fixture(params=["a call", "many at once", "many rows"])
def inserted(request: pytest.FixtureRequest) -> None:
    """By a host whose clock is five minutes fast, where the database has another."""
    ahead = MINUTE * 5 if connection.vendor == "postgresql" else timedelta()
    with time_machine.travel(timezone.now() + ahead):
        if request.param == "a call":
            ok.apply_async((1,), countdown=60)
        elif request.param == "many at once":
            ok.enqueue_many([(1,)], countdown=60)
        else:
            ledger.enqueue_many([ok.job((1,), countdown=60)])


@pytest.mark.usefixtures("inserted")
def test_an_order_reaches_what_a_fast_host_has_just_made() -> None:
    seen = bulk_orders.preview("cancel", ALL_OF_A_QUEUE, ALL)
    assert seen.total == 1
    bulk_orders.start(Wish("cancel", ALL_OF_A_QUEUE, ALL, "olga", "venue shut"), seen)
    assert Job.objects.get().state == "cancelled"


def test_the_moment_costs_no_statement(django_assert_num_queries: Any) -> None:
    job = ok.job((1,))
    with django_assert_num_queries(1):
        ledger.enqueue_many([job])
    assert abs(Job.objects.get().created_at - timezone.now()) < MINUTE


@pytest.mark.parametrize("named", [False, True], ids=["a new id", "an id of the caller's"])
def test_a_spent_key_takes_back_what_was_inserted_and_nothing_else(named: bool) -> None:
    waiting = ok.apply_async((1,), unique_key="k", countdown=60)
    UniqueKey.objects.create(key="k", job=waiting.id, state="succeeded")  # by an import
    ok.apply_async((1,), unique_key="k", task_id=waiting.id)
    assert str(Job.objects.get().pk) == waiting.id
    first = ok.apply_async((1,), unique_key="other", countdown=60).id
    Job.objects.filter(pk=first).delete()
    UniqueKey.objects.create(key="other", job=first, state="succeeded", pruned_at=timezone.now() - DAY)
    again = ok.apply_async((1,), unique_key="other", task_id=new_id() if named else None)
    assert again.id == first and Job.objects.count() == 1
