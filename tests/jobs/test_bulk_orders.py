"""Orders to many jobs: exactly those that were shown, once each, with who and why; resumable, and ended by a person."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import bulk_orders, ledger, pauses, rescuer
from jobs.bulk_orders import Wish
from jobs.listing import Selection
from jobs.models import Job, JobEvent, Order
from jobs.scopes import ALL, Scope
from tests.conftest import InProcessWorker
from tests.factories import DAY, HOUR, MINUTE, make_job
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers

pytestmark = pytest.mark.django_db
QUEUE = Selection(queue="default")


def give(verb: str, selection: Selection = QUEUE, scope: Scope = ALL, **parameters: Any) -> Order:
    seen = bulk_orders.preview(verb, selection, scope)
    return bulk_orders.start(Wish(verb, selection, scope, "olga", "venue shut", parameters), seen)


def states() -> list[str]:
    return list(Job.objects.order_by("pk").values_list("state", flat=True))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, and a job for all but a handful."""
    monkeypatch.setattr("jobs.bulk_orders.CHUNK", 3)
    monkeypatch.setattr("jobs.bulk_orders.AT_ONCE", 4)


def test_a_preview_counts_by_state_and_changes_nothing(django_assert_num_queries) -> None:
    make_job(), make_job("running"), make_job("succeeded")
    with django_assert_num_queries(1 if Job.objects.db and _sqlite() else 2):
        seen = bulk_orders.preview("cancel", QUEUE, ALL)
    assert (seen.counts, seen.total) == ({"running": 1, "scheduled": 1, "succeeded": 1}, 2)
    assert states() == ["scheduled", "running", "succeeded"] and not JobEvent.objects.exists()


def test_a_preview_counts_no_further_than_lists_do_but_each_state_as_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The many that are left alone do not hide the few that would be changed."""
    monkeypatch.setattr(bulk_orders, "MOST", 3)
    make_job(), make_job("running")
    for _ in range(6):
        make_job("succeeded")
    seen = bulk_orders.preview("cancel", QUEUE, ALL)
    assert (seen.counts, seen.total) == ({"running": 1, "scheduled": 1, "succeeded": 4}, 2)
    assert bulk_orders.preview("cancel", QUEUE, ALL, most=5).counts["succeeded"] == 6
    assert bulk_orders.preview("cancel", QUEUE, ALL, most=100).counts["succeeded"] == 6
    assert bulk_orders.preview("retry", Selection(state="succeeded"), ALL).counts == {"succeeded": 4}


def test_an_order_to_more_than_were_counted_is_counted_when_it_begins_and_reaches_all(
    few: None, monkeypatch: pytest.MonkeyPatch, worker: InProcessWorker
) -> None:
    monkeypatch.setattr(bulk_orders, "MOST", 5)
    for _ in range(12):
        make_job(due=HOUR)
    order = give("cancel")
    assert order.total == 6
    worker.run_due()
    order.refresh_from_db()
    assert (order.total, order.done, order.counts) == (12, 12, {"cancelled": 12})


def _sqlite() -> bool:
    from django.db import connection

    return connection.vendor == "sqlite"


def test_a_cancel_tells_what_became_of_each_and_writes_down_who_and_why() -> None:
    waiting, running, over = make_job(), make_job("running"), make_job("succeeded")
    order = give("cancel")
    assert order.counts == {"cancelled": 1, "in flight": 1} and order.done == 2 and not order.open
    assert states() == ["cancelled", "running", "succeeded"]
    told = {event.job_id: (event.by, event.reason, event.before, event.order_id) for event in JobEvent.objects.all()}
    assert told == {
        waiting.pk: ("olga", "venue shut", "scheduled", order.pk),
        running.pk: ("olga", "venue shut", "running", order.pk),
    }
    assert over.pk not in told


def test_jobs_made_after_it_was_shown_are_not_touched() -> None:
    make_job()
    seen = bulk_orders.preview("cancel", QUEUE, ALL)
    later = make_job(created_at=seen.at + MINUTE)
    bulk_orders.start(Wish("cancel", QUEUE, ALL, "olga", "x"), seen)
    assert Job.objects.get(pk=later.pk).state == "scheduled" and Job.objects.filter(state="cancelled").count() == 1


def test_an_order_reaches_what_its_scope_holds_and_no_more() -> None:
    make_job(tenant="a"), make_job(tenant="b"), make_job(queue="messages", tenant="a")
    give("cancel", Selection(state="scheduled"), Scope.told([[["default"], ["a"]]]))
    assert states() == ["cancelled", "scheduled", "scheduled"]


def test_many_are_the_work_of_a_job_that_shows_how_far_it_is(few: None, worker: InProcessWorker) -> None:
    jobs = [make_job(due=DAY) for _ in range(8)]
    order = give("cancel", Selection(state="scheduled"))
    assert order.job_id and order.open and Job.objects.filter(state="cancelled").count() == 0
    worker.run_due()
    order.refresh_from_db()
    assert (order.done, order.counts, order.open) == (8, {"cancelled": 8}, False)
    its_job = Job.objects.get(pk=order.job_id)
    assert its_job.state == "succeeded" and its_job.progress == {"done": 8, "total": 8, "note": ""}
    assert JobEvent.objects.filter(order=order).count() == len(jobs)


def test_an_order_that_was_broken_off_goes_on_where_it_was(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(8):
        make_job(due=DAY)
    order = give("cancel", Selection(state="scheduled"))
    bulk_orders.chunk(order.pk)
    real = JobEvent.objects.bulk_create

    def dies(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        raise RuntimeError("the worker is killed")

    with monkeypatch.context() as patch:
        patch.setattr(JobEvent.objects, "bulk_create", dies)
        with pytest.raises(RuntimeError):
            bulk_orders.chunk(order.pk)
    assert Job.objects.filter(state="cancelled").count() == JobEvent.objects.count() == 3
    while bulk_orders.chunk(order.pk).open:
        pass
    assert JobEvent.objects.count() == 8 == Order.objects.get().done


def test_each_job_is_come_to_once_though_it_stays_among_those_that_match(few: None) -> None:
    """What is postponed still waits: only the place where the order is tells that it has been there."""
    before = {job.pk: job.run_at for job in (make_job(due=DAY) for _ in range(8))}
    order = give("postpone", Selection(state="scheduled"), seconds=3600)
    for _ in range(4):
        bulk_orders.chunk(order.pk)
    moved = dict(Job.objects.filter(pk__in=before).values_list("pk", "run_at"))
    assert {pk: moved[pk] - before[pk] for pk in before} == dict.fromkeys(before, HOUR)
    order.refresh_from_db()
    assert (order.done, order.open) == (8, False)


def test_called_off_it_touches_no_more(few: None) -> None:
    for _ in range(8):
        make_job(due=DAY)
    order = give("cancel", Selection(state="scheduled"))
    bulk_orders.chunk(order.pk)
    assert bulk_orders.call_off(order, by="maria") and not bulk_orders.call_off(order, by="olga")
    assert not bulk_orders.chunk(order.pk).open
    assert Job.objects.filter(state="cancelled").count() == 3
    assert Order.objects.get().called_off_by == "maria"


def test_an_order_cancels_no_order(few: None) -> None:
    for _ in range(5):
        make_job(due=DAY)
    order = give("cancel", Selection(state="scheduled"))
    while bulk_orders.chunk(order.pk).open:
        pass
    assert Job.objects.get(task=bulk_orders.TASK).state == "scheduled"


def test_its_own_job_does_not_wait_in_a_queue_that_is_paused(few: None, settings: Any) -> None:
    settings.JOBS_QUEUES = ["default", "messages"]
    pauses.pause("queue", ["default"], by="olga", reason="flood")
    for _ in range(5):
        make_job(due=DAY)
    assert give("cancel").job_id == Job.objects.get(task=bulk_orders.TASK, queue="messages").pk


def test_retries_are_spread_over_time() -> None:
    for _ in range(4):
        make_job("failed", failures=3, signature="Flaky")
    order = give("retry", Selection(signature="Flaky"), per_minute=2)
    times = list(Job.objects.order_by("pk").values_list("run_at", flat=True))
    assert [when - times[0] for when in times] == [timedelta(seconds=30 * n) for n in range(4)]
    assert order.counts == {"done": 4} and states() == ["scheduled"] * 4


def test_a_retry_by_filter_leaves_what_succeeded_alone_unless_it_is_meant() -> None:
    make_job("failed"), make_job("succeeded"), make_job("expired")
    give("retry")
    assert states() == ["scheduled", "succeeded", "scheduled"]
    give("retry", Selection(state="succeeded"))
    assert states() == ["scheduled"] * 3


def test_run_now_moves_what_waits_to_this_moment(worker: InProcessWorker) -> None:
    job = make_job(due=DAY, useful_until=timezone.now() + 2 * DAY)
    give("run_now")
    row = Job.objects.get()
    assert row.run_at < timezone.now() + MINUTE and row.useful_until == job.useful_until
    worker.run_due()
    assert states() == ["succeeded"]


def test_postponing_counts_from_its_time_or_from_now() -> None:
    late, future = make_job(due=-DAY), make_job(due=DAY)
    queued = make_job("queued")
    give("postpone", seconds=3600)
    now = timezone.now()
    assert abs(Job.objects.get(pk=late.pk).run_at - now - HOUR) < MINUTE
    assert Job.objects.get(pk=future.pk).run_at == future.run_at + HOUR
    assert Job.objects.get(pk=queued.pk).state == "scheduled"
    moment = now + 5 * DAY
    give("postpone", run_at=moment.isoformat())
    assert set(Job.objects.values_list("run_at", flat=True)) == {moment}


def test_a_priority_is_changed_of_what_waits() -> None:
    make_job(), make_job(priority=10), make_job("succeeded")
    order = give("reprioritise", priority=10)
    assert list(Job.objects.order_by("pk").values_list("priority", flat=True)) == [10, 10, 5]
    assert order.counts == {"done": 1, "left alone": 1} and JobEvent.objects.count() == 1


def test_what_is_being_cancelled_is_not_postponed() -> None:
    job = make_job(due=DAY)
    Job.objects.update(cancel_requested=True)
    assert ledger.retime([job.pk], timezone.now()) == set()


def test_a_chunk_takes_as_many_statements_as_a_single_job(few: None, django_assert_max_num_queries) -> None:
    for _ in range(9):
        make_job(due=DAY)
    order = give("cancel", Selection(state="scheduled"))
    with django_assert_max_num_queries(14):
        bulk_orders.chunk(order.pk)


# --- Whoever gave it died -------------------------------------------------------------------------------


def begun(monkeypatch: pytest.MonkeyPatch, made: int = 8) -> Order:
    """An order of a few jobs that died with its process after the first chunk."""
    monkeypatch.setattr("jobs.bulk_orders.CHUNK", 3)
    [make_job(due=DAY) for _ in range(made)]
    seen = bulk_orders.preview("postpone", QUEUE, ALL)
    order = bulk_orders.write(Wish("postpone", QUEUE, ALL, "olga", "venue shut", {"seconds": 3600}), seen)
    return bulk_orders.chunk(order.pk)


def test_an_order_that_stands_still_is_finished_by_a_job(
    monkeypatch: pytest.MonkeyPatch, worker: InProcessWorker
) -> None:
    order = begun(monkeypatch)
    before = dict(Job.objects.values_list("pk", "run_at"))
    assert (order.done, order.job_id) == (3, None)
    assert rescuer.rescue_lost().orders == 0, "it may be slow"
    assert rescuer.rescue_lost(timezone.now() + 2 * MINUTE).orders == 1
    assert rescuer.rescue_lost(timezone.now() + 2 * MINUTE).orders == 0
    worker.run_due()
    order.refresh_from_db()
    assert (order.done, order.open, order.counts) == (8, False, {"done": 8})
    assert order.job_id and Job.objects.get(pk=order.job_id).state == "succeeded"
    moved = [run_at - before[pk] for pk, run_at in Job.objects.filter(pk__in=before).values_list("pk", "run_at")]
    assert sorted(moved) == [timedelta()] * 3 + [HOUR] * 5, "the first three had been moved before"
    assert JobEvent.objects.filter(order=order).count() == 8


def test_an_order_that_is_over_is_not_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    over, off = give("cancel"), begun(monkeypatch)
    assert bulk_orders.call_off(off, by="olga") and not over.open
    assert bulk_orders.take_over(timezone.now() + 2 * MINUTE) == 0


def test_one_that_was_only_slow_shares_the_work_with_its_job(
    monkeypatch: pytest.MonkeyPatch, worker: InProcessWorker
) -> None:
    order = begun(monkeypatch)
    bulk_orders.take_over(timezone.now() + 2 * MINUTE)
    while bulk_orders.chunk(order.pk).open:
        pass
    worker.run_due()
    assert JobEvent.objects.filter(order=order).count() == 8 == Order.objects.get().done


@TRANSACTIONAL
def test_two_clocks_make_one_job_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    need_two_writers()
    begun(monkeypatch)
    late = timezone.now() + 2 * MINUTE
    assert sorted(at_once(*[lambda: bulk_orders.take_over(late)] * 2)) == [0, 1]
    assert Job.objects.filter(task=bulk_orders.TASK).count() == 1
