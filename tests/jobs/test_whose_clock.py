"""Whose clock decides: the database's, whatever the clock of the machine shows that asks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db.models.functions import Now
from django.utils import timezone

from jobs import dispatcher, ledger, pauses, queues, rescuer, windows
from jobs.models import Job, Queue
from tests.factories import DAY, HOUR, MINUTE, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def right() -> datetime:
    return timezone.now()


@pytest.fixture
def ahead(right: datetime) -> Iterator[None]:
    """This machine's clock is a day ahead of the database's."""
    with time_machine.travel(right + DAY, tick=True):
        yield


@pytest.fixture
def behind(right: datetime) -> Iterator[None]:
    with time_machine.travel(right - DAY, tick=True):
        yield


def test_what_is_due_is_decided_by_the_database(right: datetime, ahead: None) -> None:
    make_job(run_at=right + HOUR)
    assert ledger.dispatch("default", ["probe.ok"], 10) == []
    assert windows.fill("default", ["probe.ok"]) == []
    assert dispatcher.dispatch_due() == 0


def test_what_is_due_goes_though_this_machine_is_behind(right: datetime, behind: None) -> None:
    make_job(run_at=right - MINUTE)
    assert dispatcher.dispatch_due() == 1


def test_tokens_come_by_the_databases_clock(right: datetime, ahead: None) -> None:
    queues.due()
    Queue.objects.filter(pk="default").update(rate_count=1, rate_period=HOUR, tokens=0, tokens_at=right)
    make_job(run_at=right - MINUTE)
    assert windows.fill("default", ["probe.ok"]) == []


def test_a_pause_ends_by_the_databases_clock(right: datetime, request: pytest.FixtureRequest) -> None:
    make_job(run_at=right - MINUTE)
    pauses.pause("queue", ["default"], by="olga", until=right + HOUR)
    request.getfixturevalue("ahead")
    assert dispatcher.dispatch_due() == 0


def test_a_lease_is_as_long_as_the_database_says(right: datetime, behind: None) -> None:
    job = make_job("queued")
    assert ledger.claim(job.pk, "me:1")
    lasts = {"lease_until__gt": Now(), "lease_until__lt": Now() + timedelta(seconds=30)}
    assert Job.objects.filter(pk=job.pk, **lasts).exists()


def test_a_rescuer_whose_clock_is_wrong_rescues_nobody(right: datetime, ahead: None) -> None:
    job = make_job("running", lease_until=right + MINUTE)
    assert ledger.rescue(job) is None
    assert rescuer.rescue_lost() == rescuer.Rescued()


def test_what_is_still_useful_by_the_databases_clock_runs(right: datetime, ahead: None) -> None:
    job = make_job(run_at=right - MINUTE, useful_until=right + HOUR)
    assert ledger.expire() == []
    assert dispatcher.dispatch_due() == 1
    assert ledger.claim(job.pk, "me:1")
