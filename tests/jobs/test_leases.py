"""Who holds a job: claims, the lease that begins with one, and who is rescued when it is over."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import holding, leases, ledger
from jobs.models import Job
from tests.factories import HOUR, make_job

pytestmark = pytest.mark.django_db


def state(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def test_a_job_is_claimed_once() -> None:
    job = make_job("queued")
    assert ledger.claim(job.pk, "one:1")
    assert ledger.claim(job.pk, "two:2") is None


def test_a_job_with_a_cancel_asked_for_is_not_claimed() -> None:
    job = make_job("queued", cancel_requested=True)
    assert ledger.claim(job.pk, "me") is None


def test_a_claim_begins_a_lease_and_forgets_the_messages_sent_in_vain() -> None:
    now = timezone.now()
    job = make_job("queued", nudges=5, lease_until=now + HOUR)
    assert ledger.claim(job.pk, "me:1", now=now)
    job.refresh_from_db()
    assert (job.lease_until, job.nudges, job.started_at) == (now + leases.LEASE, 0, now)


def test_a_worker_that_beats_keeps_its_job_from_the_rescuer() -> None:
    seen = make_job("running", lease="over", worker="alive:1")
    assert holding.beat([seen.pk], "alive:1") == 1
    assert ledger.rescue(seen) is None
    assert state(seen) == "running"


def test_another_workers_heartbeat_does_not_extend_a_lease() -> None:
    seen = make_job("running", lease="over", worker="dead:1")
    assert holding.beat([seen.pk], "other:2") == 0
    assert ledger.rescue(seen)


def test_two_rescuers_that_saw_the_same_row_rescue_it_once() -> None:
    seen = make_job("running", lease="over")
    assert ledger.rescue(seen)
    assert ledger.rescue(seen) is None
    assert Job.objects.get(pk=seen.pk).failures == 1


def test_a_job_whose_lease_still_runs_is_not_rescued() -> None:
    seen = make_job("running", lease="live")
    assert ledger.rescue(seen) is None
    assert state(seen) == "running"


def test_a_lease_that_was_prolonged_and_ran_out_again_is_not_the_one_that_was_seen() -> None:
    """A rescuer that was stopped for long between reading and writing has to look again."""
    seen = make_job("running", lease="over", worker="slow:1")
    assert holding.beat([seen.pk], "slow:1", now=timezone.now() - leases.LEASE - timedelta(seconds=1))
    assert ledger.rescue(seen) is None
    assert ledger.rescue(Job.objects.get(pk=seen.pk))


def test_a_job_whose_worker_is_lost_too_often_fails_with_the_reason() -> None:
    job = make_job("running", lease="over", failures=2, max_attempts=3, worker="oom:1")
    ledger.rescue(job)
    job.refresh_from_db()
    assert job.state == "failed" and "worker was lost (oom:1)" in job.reason
    assert (job.attempts.get().outcome, job.attempts.get().worker) == ("lost", "oom:1")


def test_an_unclaimed_message_is_believed_twice_as_long_each_time() -> None:
    now = timezone.now()
    job = make_job()
    waits = []
    for _ in range(3):
        (queued,) = ledger.dispatch("default", ["probe.ok"], 1, now=now)
        assert queued.lease_until
        waits.append((queued.lease_until - now) / leases.LEASE)
        ledger.release(Job.objects.filter(pk=job.pk))
    assert waits == [1, 2, 4]
