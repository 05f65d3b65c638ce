"""An order whose own job was cancelled, or lost the database: it does not stay open as if somebody carried it out."""

from uuid import UUID

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs import bulk_orders, ledger, orders, rescuer
from jobs.bulk_orders import Wish
from jobs.listing import Selection
from jobs.models import Job, Order
from jobs.scopes import ALL
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db
QUEUE = Selection(queue="default")


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> Order:
    """Of three jobs, which is too many to do at once."""
    monkeypatch.setattr(bulk_orders, "AT_ONCE", 2)
    for _ in range(3):
        make_job(due=DAY)
    wish = Wish("cancel", QUEUE, ALL, "olga", "venue shut")
    return bulk_orders.start(wish, bulk_orders.preview("cancel", QUEUE, ALL))


def test_it_is_called_off_by_who_cancelled_its_job(order: Order) -> None:
    assert order.job_id is not None
    orders.cancel([order.job_id], by="vera", reason="a mistake")
    rescuer.rescue_lost()
    order.refresh_from_db()
    assert (order.open, order.called_off_by, order.done) == (False, "vera", 0)


def test_its_job_run_again_does_not_go_on_with_it(order: Order, worker: InProcessWorker) -> None:
    assert order.job_id is not None
    ledger.cancel([order.job_id], "a mistake")
    rescuer.rescue_lost()
    ledger.retry([order.job_id])
    worker.run_due()
    assert Job.objects.get(pk=order.job_id).state == "succeeded"
    assert Job.objects.filter(state="cancelled").count() == 0


@pytest.mark.parametrize("state", ["scheduled", "failed"])
def test_one_whose_job_waits_or_may_be_run_again_stays_open(order: Order, state: str) -> None:
    assert order.job_id is not None
    Job.objects.filter(pk=order.job_id).update(
        state=state, finished_at=None if state == "scheduled" else timezone.now()
    )
    rescuer.rescue_lost(timezone.now() + 2 * MINUTE)
    order.refresh_from_db()
    assert order.open


def test_one_whose_job_lost_the_database_goes_on_when_it_is_back(order: Order, worker: InProcessWorker) -> None:
    real, calls = bulk_orders.chunk, list[UUID]()

    def away_at_first(pk: UUID) -> Order:
        calls.append(pk)
        if len(calls) == 1:
            raise OperationalError("the database system is shutting down")
        return real(pk)

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(bulk_orders, "chunk", away_at_first)
        worker.run_due()
    assert order.job_id is not None and Job.objects.unfinished().filter(pk=order.job_id).exists()
    worker.drain(timezone.now() + HOUR)
    order.refresh_from_db()
    assert (order.open, order.done) == (False, 3)
