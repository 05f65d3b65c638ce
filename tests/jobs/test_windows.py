"""What goes into a window: limits hold exactly, tenants take turns, and the cost is flat."""

from collections import Counter
from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs import dispatcher, lanes, ledger, limits, queues, turns
from jobs.models import Job, KeyLimit, Priority
from tests import probes
from tests.factories import HOUR, make_job
from tests.jobs.filling import SECOND, fill, many, set_queue
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rows() -> None:
    queues.due()  # as the dispatcher does before it fills


def test_only_queues_with_due_jobs_are_looked_at() -> None:
    make_job(queue="messages", due=HOUR)
    assert queues.due() == []
    assert queues.due(timezone.now() + 2 * HOUR) == ["messages"]


def test_the_urgent_are_published_first() -> None:
    for priority in (Priority.LOW, Priority.URGENT, Priority.NORMAL, Priority.HIGH):
        many(3, priority=priority)
    assert [job.priority for job in fill()] == [20] * 3 + [10] * 3 + [5] * 3 + [1] * 3


def test_no_more_than_the_concurrency_is_queued_or_running() -> None:
    set_queue(concurrency=3)
    make_job("running")
    many(5)
    first, second = fill()
    assert fill() == []
    ledger.claim(first.pk, "me")
    assert fill() == []
    claimed = ledger.claim(second.pk, "me")
    assert claimed and ledger.succeed(claimed)
    assert len(fill()) == 1


@pytest.mark.parametrize("crowded", [False, True])
def test_no_more_than_the_rate_is_sent(monkeypatch, crowded) -> None:
    monkeypatch.setattr(lanes, "FEW", 5 if crowded else 10_000)
    set_queue(rate_count=10, rate_period=SECOND)
    many(100)
    now = timezone.now()
    sent = []
    for tenth in range(21):
        at = now + tenth * SECOND / 10
        jobs = fill(now=at)
        sent.append(len(jobs))
        for job in jobs:
            ledger.claim(job.pk, "me", now=at)
    assert sent == [10] + [1] * 20


def test_a_rate_holds_back_what_would_pile_up_while_no_worker_takes_it() -> None:
    set_queue(rate_count=10, rate_period=SECOND)
    many(100)
    now = timezone.now()
    assert [len(fill(now=now + n * SECOND)) for n in range(3)] == [10, 0, 0]


def test_jobs_of_a_key_run_one_at_a_time_unless_a_limit_says_otherwise() -> None:
    KeyLimit.objects.create(key="provider:*", limit=2)
    for _ in range(4):
        probes.ok.apply_async(concurrency_key="venue:7")
        probes.ok.apply_async(concurrency_key="provider:twilio")
        probes.ok.apply_async()
    jobs = fill()
    assert Counter(job.concurrency_key for job in jobs) == {"venue:7": 1, "provider:twilio": 2, "": 4}
    assert fill() == []
    venue = next(job for job in jobs if job.concurrency_key == "venue:7")
    claimed = ledger.claim(venue.pk, "me")
    assert fill() == []
    assert claimed and ledger.succeed(claimed)
    assert [job.concurrency_key for job in fill()] == ["venue:7"]


def test_a_key_counts_in_all_queues_together() -> None:
    make_job("running", queue="messages", concurrency_key="venue:7")
    make_job(concurrency_key="venue:7")
    assert fill() == []


@pytest.mark.parametrize("crowded", [False, True])
def test_a_key_is_its_tenants_and_two_with_the_same_share_no_limit(monkeypatch, crowded) -> None:
    monkeypatch.setattr(lanes, "FEW", 0 if crowded else 10_000)
    KeyLimit.objects.create(key="customer:*", limit=2)
    make_job("running", tenant="a", concurrency_key="customer:7")
    make_job("queued", tenant="full", concurrency_key="customer:7")
    make_job("running", tenant="full", concurrency_key="customer:7", queue="messages")
    for tenant in ("a", "b", "", "full"):
        many(4, tenant=tenant, concurrency_key="customer:7")
    assert Counter(job.tenant for job in fill()) == {"a": 1, "b": 2, "": 2}
    assert fill() == []


def test_jobs_that_may_not_go_do_not_stand_in_the_way(monkeypatch) -> None:
    monkeypatch.setattr(lanes, "FEW", 10)
    set_queue(window=20)
    many(150, concurrency_key="venue:7", priority=Priority.URGENT)
    many(150, task="gone", priority=Priority.URGENT)
    many(150, useful_until=timezone.now() - SECOND, priority=Priority.URGENT)
    many(30)
    assert Counter(job.concurrency_key for job in fill()) == {"venue:7": 1, "": 19}
    Job.objects.filter(state="queued", concurrency_key="").delete()
    assert len(fill()) == 11


@pytest.mark.parametrize("crowded", [False, True])
def test_a_flood_of_one_tenant_does_not_delay_the_single_job_of_another(monkeypatch, crowded) -> None:
    monkeypatch.setattr(lanes, "FEW", 10 if crowded else 10_000)
    set_queue(window=20)
    many(500, tenant="flood", priority=Priority.URGENT, run_at=timezone.now() - HOUR)
    assert {job.tenant for job in fill()} == {"flood"}
    single = make_job(tenant="small", priority=Priority.LOW)
    Job.objects.filter(pk=Job.objects.filter(state="queued")[:1].get().pk).update(state="succeeded")
    assert [job.pk for job in fill()] == [single.pk]


def test_what_is_sent_is_taken_back_when_the_queue_was_changed_past_its_lock(monkeypatch) -> None:
    make_job()
    monkeypatch.setattr("jobs.limits.draw", lambda *_: 0)
    assert fill() == []
    assert Job.objects.get().state == "scheduled"


def test_a_low_job_overdue_for_long_gets_its_place_in_a_stream_of_urgent_ones(monkeypatch) -> None:
    monkeypatch.setattr(lanes, "FEW", 10)
    set_queue(window=20)
    low = make_job(priority=Priority.LOW, due=-turns.PATIENCE - SECOND)
    many(300, priority=Priority.URGENT)
    assert low.pk in [job.pk for job in fill()]


def test_a_tick_with_nothing_due_costs_the_same_whatever_is_pending() -> None:
    dispatcher.dispatch_due()
    with CaptureQueriesContext(connection) as quiet:
        assert dispatcher.dispatch_due() == 0
    for n in range(50):
        make_job(due=HOUR, tenant=str(n), concurrency_key=str(n))
    with CaptureQueriesContext(connection) as pending:
        assert dispatcher.dispatch_due() == 0
    assert len(pending) == len(quiet) <= 5  # two of them begin and end a transaction, one is the clock's


@pytest.mark.parametrize("crowded", [False, True])
def test_a_queue_with_due_jobs_costs_the_same_for_one_and_for_many(monkeypatch, crowded) -> None:
    monkeypatch.setattr(lanes, "FEW", 0 if crowded else 10_000)
    monkeypatch.setattr(lanes, "DEEP", 0 if crowded else 4)
    make_job(concurrency_key="first")
    fill()  # adds the row that locks the keys
    counts = []
    for number in (1, 100):
        for n in range(number):
            make_job(tenant=str(n % 10), concurrency_key=f"{number}:{n}")
        with CaptureQueriesContext(connection) as queries:
            assert len(fill()) == number
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 16 + (connection.vendor == "postgresql")  # where a silence has its own limit


def test_a_dispatcher_that_finds_the_queue_taken_does_nothing(monkeypatch) -> None:
    make_job()
    monkeypatch.setattr(queues, "locked", lambda name: None)
    assert fill() == []


@TRANSACTIONAL
def test_two_dispatchers_at_once_keep_the_window_and_the_concurrency() -> None:
    need_two_writers()
    set_queue(window=7, concurrency=5)
    many(100)
    for _ in range(10):
        at_once(fill, fill, fill)
    assert Job.objects.filter(state="queued").count() == 5


@TRANSACTIONAL
def test_two_dispatchers_at_once_keep_a_keys_limit_across_queues() -> None:
    need_two_writers()
    for round_ in range(20):
        for queue in ("default", "messages"):
            make_job(queue=queue, concurrency_key=f"venue:{round_}")
        at_once(fill, partial(fill, "messages"))
    counts = Counter(Job.objects.filter(state="queued").values_list("concurrency_key", flat=True))
    assert counts == {f"venue:{round_}": 1 for round_ in range(20)}


@TRANSACTIONAL
def test_a_queue_held_by_one_dispatcher_is_passed_by_the_other() -> None:
    need_two_writers()
    make_job()
    with transaction.atomic():
        assert queues.locked("default")
        assert at_once(fill) == [[]]
    assert len(fill()) == 1


def test_a_bucket_that_was_emptied_since_it_was_read_gives_nothing(monkeypatch) -> None:
    set_queue(rate_count=1, rate_period=HOUR)
    make_job()
    with transaction.atomic():
        read = queues.locked("default")
    assert read
    assert limits.draw(read[0], 1, read[1]) == 1
    monkeypatch.setattr(queues, "locked", lambda name: read)
    assert fill() == []
