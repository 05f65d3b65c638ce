"""A snooze until a time that is past: the job waits a second, and does not run as fast as workers can."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import ledger
from jobs.models import Attempt, Job
from tests.factories import HOUR, make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("ago", [timedelta(), HOUR], ids=["now", "an hour ago"])
def test_it_runs_in_a_second_at_the_earliest(ago: timedelta) -> None:
    job = make_job("running")
    before = timezone.now()
    assert ledger.snooze(job, before - ago, Attempt(outcome="snoozed"))
    assert Job.objects.get().run_at >= before + timedelta(milliseconds=990)  # two clocks' thousandths


def test_a_later_time_is_kept_as_it_is() -> None:
    job, later = make_job("running"), timezone.now() + HOUR
    ledger.snooze(job, later, Attempt(outcome="snoozed"))
    assert Job.objects.get().run_at == later
