"""What is put into the ledger: once for each key, whole or not at all."""

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from jobs import ledger
from jobs.models import Job
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def test_a_unique_key_makes_the_second_call_return_the_first_job() -> None:
    now = timezone.now()
    first = ledger.enqueue(Job(task="probe.ok", queue="default", run_at=now, unique_key="welcome-7"))
    second = ledger.enqueue(Job(task="probe.ok", queue="default", run_at=now, unique_key="welcome-7"))
    assert first.pk == second.pk
    assert Job.objects.count() == 1


def test_a_unique_key_is_its_tenants_and_stops_no_other() -> None:
    now = timezone.now()
    calls = [
        ledger.enqueue(Job(task="probe.ok", queue="default", run_at=now, unique_key="welcome-7", tenant=tenant)).pk
        for tenant in ("a", "b", "", "a")
    ]
    assert len(set(calls)) == 3 and calls[0] == calls[3]
    assert Job.objects.count() == 3


def test_enqueueing_in_a_transaction_that_is_rolled_back_leaves_nothing() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        ledger.enqueue(Job(task="probe.ok", queue="default", run_at=timezone.now()))
        raise RuntimeError
    assert Job.objects.count() == 0


def test_many_jobs_are_inserted_and_moved_with_a_few_statements(django_assert_max_num_queries) -> None:
    now = timezone.now()
    jobs = [Job(task="probe.ok", queue="default", run_at=now, args=[n]) for n in range(1_000)]
    with django_assert_max_num_queries(40):  # SQLite takes 37 rows of this width per statement, PostgreSQL 500
        ledger.enqueue_many(jobs)
    later = {job.pk: (now + timedelta(seconds=n), None) for n, job in enumerate(jobs[:100])}
    with django_assert_max_num_queries(4):
        assert len(ledger.reschedule(later)) == 100
    with django_assert_max_num_queries(6):
        assert set(ledger.cancel([job.pk for job in jobs[:400]], "x").values()) == {"cancelled"}


def test_arguments_survive_the_row() -> None:
    kept = {"umlaut": "Größe", "emoji": "🕙", "nested": [{"a": None}]}
    job = make_job(kwargs=kept)
    assert json.dumps(Job.objects.get(pk=job.pk).kwargs, sort_keys=True) == json.dumps(kept, sort_keys=True)
