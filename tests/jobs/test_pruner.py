"""What is deleted and what is not, in small batches, and keys that outlive their jobs."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from jobs import clock, keys, ledger, pruner
from jobs.models import Attempt, Job, JobEvent, Order, UniqueKey
from tests import probes
from tests.factories import DAY, HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _retention(settings: Any) -> None:
    settings.JOBS_KEEP_DAYS = {"succeeded": 7, "cancelled": 30, "expired": 30, "failed": 90}
    settings.JOBS_KEEP_COUNT = {"succeeded": 0, "cancelled": 0, "expired": 0}


def over(state: str, ago: timedelta, **fields: Any) -> Job:
    return make_job(state, finished_at=timezone.now() - ago, **fields)


def left() -> set[Any]:
    return set(Job.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(("state", "days"), [("succeeded", 7), ("cancelled", 30), ("expired", 30), ("failed", 90)])
def test_a_finished_job_is_deleted_after_its_days_and_not_before(state: str, days: int) -> None:
    young = over(state, days * DAY - HOUR)
    over(state, days * DAY + HOUR)
    assert pruner.prune() == {state: 1}
    assert left() == {young.pk}


@pytest.mark.parametrize("state", ["scheduled", "queued", "running"])
def test_an_unfinished_job_is_never_deleted_however_old(state: str, settings: Any) -> None:
    settings.JOBS_KEEP_DAYS = dict.fromkeys(Job.State.values, 0)
    settings.JOBS_KEEP_COUNT = dict.fromkeys(["scheduled", "queued", "running"], 1)
    for _ in range(3):
        make_job(state, finished_at=timezone.now() - 900 * DAY, created_at=timezone.now() - 999 * DAY)
    assert pruner.prune() == {}
    assert len(left()) == 3


def test_a_job_that_was_made_long_ago_and_finished_today_stays() -> None:
    job = over("succeeded", HOUR, created_at=timezone.now() - 300 * DAY)
    pruner.prune()
    assert left() == {job.pk}


def test_a_count_keeps_the_newest(settings: Any) -> None:
    settings.JOBS_KEEP_COUNT = {"succeeded": 2}
    jobs = [over("succeeded", n * MINUTE) for n in range(5)]
    cancelled = over("cancelled", DAY)
    assert pruner.prune() == {"succeeded": 3}
    assert left() == {jobs[0].pk, jobs[1].pk, cancelled.pk}
    assert pruner.prune() == {}


def test_a_count_keeps_exactly_so_many_of_those_that_finished_at_the_same_moment(settings: Any) -> None:
    settings.JOBS_KEEP_COUNT = {"succeeded": 2}
    moment = timezone.now() - HOUR
    for _ in range(5):
        make_job("succeeded", finished_at=moment)
    pruner.prune()
    assert len(left()) == 2


def test_failed_jobs_know_no_count(settings: Any) -> None:
    settings.JOBS_KEEP_COUNT = {"failed": 1}
    with pytest.raises(ValueError, match="by age alone"):
        pruner.prune()


def test_days_below_zero_do_not_reach_into_the_future(settings: Any) -> None:
    settings.JOBS_KEEP_DAYS = {"failed": -1}
    job = over("failed", -MINUTE)
    pruner.prune()
    assert left() == {job.pk}


def test_it_goes_in_small_batches(monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries) -> None:
    monkeypatch.setattr(pruner, "BATCH", 10)
    sizes, real = [], pruner.drop

    def counted(rows: Any) -> int:
        sizes.append(real(rows))
        return sizes[-1]

    monkeypatch.setattr(pruner, "drop", counted)
    for _ in range(25):
        over("succeeded", 8 * DAY)
    assert pruner.prune() == {"succeeded": 25}
    assert [size for size in sizes if size] == [10, 10, 5]


def test_a_run_ends_in_time_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "LONGEST", 0.0)
    over("succeeded", 8 * DAY)
    assert pruner.prune() == {}
    monkeypatch.undo()
    assert pruner.prune() == {"succeeded": 1}


def test_the_attempts_go_with_their_job() -> None:
    job = over("failed", 91 * DAY)
    Attempt.objects.create(job=job, number=1, outcome=Attempt.Outcome.ERRORED)
    clock.prune()
    assert not Attempt.objects.exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_row_that_somebody_else_is_changing_is_left_for_the_next_time() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    job, other = over("cancelled", 31 * DAY), over("cancelled", 31 * DAY)
    locked, pruned = threading.Event(), threading.Event()

    def change() -> None:
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=job.pk)
            locked.set()
            pruned.wait(timeout=30)
        connection.close()

    thread = threading.Thread(target=change)
    thread.start()
    assert locked.wait(timeout=30)
    assert pruner.prune() == {"cancelled": 1}
    pruned.set()
    thread.join(timeout=30)
    assert left() == {job.pk} and other.pk not in left()


# --- Unique keys ---------------------------------------------------------------------------------------


def keyed(key: str = "welcome-7", **fields: Any) -> Job:
    return Job(**{"task": "probe.ok", "queue": "default", "run_at": timezone.now(), "unique_key": key} | fields)


def test_the_second_call_after_the_first_job_was_deleted_is_still_the_first() -> None:
    first = over("succeeded", 8 * DAY, unique_key="welcome-7")
    pruner.prune()
    second = ledger.enqueue(keyed())
    assert (second.pk, second.state, second.unique_key) == (first.pk, "succeeded", "welcome-7")
    assert not Job.objects.exists()
    assert probes.ok.apply_async((1,), unique_key="welcome-7").id == str(first.pk)
    assert not Job.objects.exists()


def test_a_deleted_jobs_key_is_its_tenants_and_tells_another_nothing() -> None:
    first = over("failed", 800 * DAY, unique_key="welcome-7", tenant="a")
    pruner.prune()
    other, nobodys = keyed(tenant="b"), keyed()
    assert [ledger.enqueue(job).pk for job in (other, nobodys)] == [other.pk, nobodys.pk]
    again = ledger.enqueue(keyed(tenant="a"))
    assert (again.pk, again.state, again.tenant) == (first.pk, "failed", "a")
    assert left() == {other.pk, nobodys.pk}


def test_of_many_jobs_only_the_tenants_with_a_spent_key_are_taken_back() -> None:
    over("succeeded", 8 * DAY, unique_key="x", tenant="a")
    pruner.prune()
    jobs = [keyed("x", tenant=tenant) for tenant in ("a", "b", "")]
    ledger.enqueue_many(jobs)
    assert left() == {jobs[1].pk, jobs[2].pk}


def test_of_two_tenants_jobs_with_one_key_both_keys_are_kept() -> None:
    for tenant in ("a", "b"):
        over("succeeded", 8 * DAY, unique_key="x", tenant=tenant)
    pruner.prune()
    assert set(UniqueKey.objects.values_list("tenant", "key")) == {("a", "x"), ("b", "x")}


def test_of_many_jobs_only_those_with_spent_keys_are_taken_back() -> None:
    over("succeeded", 8 * DAY, unique_key="spent")
    alive = make_job(unique_key="alive")
    pruner.prune()
    fresh, plain = keyed("fresh"), keyed("x", unique_key=None)
    ledger.enqueue_many([keyed("spent"), keyed("alive"), fresh, plain])
    assert left() == {alive.pk, fresh.pk, plain.pk}


def test_a_second_call_by_id_takes_no_waiting_job_back_though_its_key_is_kept() -> None:
    """An import keeps the keys of what is over elsewhere, also where a job here has one."""
    first = ledger.enqueue(keyed("x"))
    keys.keep([(keyed("x").pk, "x", "", "succeeded")])
    second = keyed("x")
    second.pk = first.pk
    assert ledger.enqueue(second).pk == first.pk
    assert left() == {first.pk}


def test_a_key_is_looked_up_after_the_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pruner deletes the first job between our call and our insert: the insert then succeeds, and must not."""
    first = over("succeeded", 8 * DAY, unique_key="welcome-7")
    real = Job.objects.bulk_create

    def pruned_just_before(*args: Any, **options: Any) -> Any:
        pruner.prune()
        return real(*args, **options)

    monkeypatch.setattr(Job.objects, "bulk_create", pruned_just_before)
    assert ledger.enqueue(keyed()).pk == first.pk
    assert not Job.objects.exists()


def test_a_key_is_free_again_after_a_long_time(settings: Any) -> None:
    settings.JOBS_KEEP_KEYS_DAYS = 400
    first = over("succeeded", 8 * DAY, unique_key="welcome-7")
    pruner.prune()
    UniqueKey.objects.update(pruned_at=timezone.now() - 399 * DAY)
    assert pruner.prune() == {}
    UniqueKey.objects.update(pruned_at=timezone.now() - 401 * DAY)
    assert pruner.prune() == {"keys": 1}
    assert ledger.enqueue(keyed()).pk != first.pk


def test_jobs_without_keys_cost_no_look_at_the_keys(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        keys.withdraw_spent([keyed("x", unique_key=None)])


def test_a_job_whose_key_cannot_be_kept_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    first = over("succeeded", 8 * DAY, unique_key="welcome-7")

    def full(*_: Any) -> None:
        raise OperationalError("could not extend file: No space left on device")

    monkeypatch.setattr(keys, "keep", full)
    with pytest.raises(OperationalError):
        pruner.prune()
    assert left() == {first.pk}


def test_a_spent_key_takes_nothing_back_that_has_run() -> None:
    running = make_job("running", unique_key="welcome-7")
    UniqueKey.objects.create(key="welcome-7", job=running.pk, state="succeeded")
    ledger.enqueue_many([keyed(pk=running.pk)])
    assert left() == {running.pk}


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_row_with_a_spent_key_is_never_seen_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the insert and the look at the keys a dispatcher could send it."""

    def killed(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(keys, "withdraw_spent", killed)
    with pytest.raises(RuntimeError):
        ledger.enqueue(keyed())
    assert left() == set()


def make_order(**fields: Any) -> Order:
    asked = {"verb": "retry", "filters": {}, "reason": "mended", "by": "olga", "total": 1}
    return Order.objects.create(asked_at=timezone.now() - 900 * DAY, **asked | fields)


def test_an_order_stays_as_long_as_any_job_that_it_may_be_about() -> None:
    old, young = timezone.now() - 90 * DAY - HOUR, timezone.now() - 90 * DAY + HOUR
    make_order(finished_at=old)
    make_order(called_off_at=old)
    kept = {make_order(), make_order(finished_at=young), make_order(called_off_at=young)}
    assert pruner.prune() == {"orders": 2}
    assert set(Order.objects.all()) == kept


def test_what_an_order_did_to_a_job_stays_with_the_job() -> None:
    order, job = make_order(finished_at=timezone.now() - 91 * DAY), make_job()
    JobEvent.objects.create(job=job, by="olga", verb="retry", reason="mended", before="failed", order=order)
    assert pruner.prune() == {"orders": 1}
    event = JobEvent.objects.get()
    assert (event.by, event.reason) == ("olga", "mended") and event.order is None


def test_orders_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruner, "BATCH", 2)
    for _ in range(5):
        make_order(finished_at=timezone.now() - 91 * DAY)
    assert pruner.prune() == {"orders": 5}
