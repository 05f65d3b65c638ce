"""One pass of the rescuer: what is overdue comes back, what is not is left alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone

from jobs import ledger, rescuer
from jobs.models import Job
from tests.factories import HOUR, make_job

pytestmark = pytest.mark.django_db


def test_a_pass_looks_at_no_more_than_is_overdue() -> None:
    make_job("running"), make_job("queued"), make_job(), make_job("succeeded")
    assert list(rescuer.lost(timezone.now())) == []
    assert rescuer.rescue_lost() == rescuer.Rescued()


def test_a_pass_brings_back_and_ends_whatever_is_overdue() -> None:
    make_job("running", lease="over")
    make_job("running", lease="over", max_attempts=1)
    make_job("running", lease="over", cancel_requested=True)
    make_job("queued", lease="over")
    make_job(useful_until=timezone.now() - timedelta(seconds=1))
    make_job(task="gone", due=-2 * HOUR)
    assert rescuer.rescue_lost() == rescuer.Rescued(released=1, restarted=1, failed=1, stopped=1, expired=1, rejected=1)


def test_a_row_that_cannot_be_rescued_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    odd, other = make_job("running", lease="over"), make_job("running", lease="over")
    rescue = ledger.rescue

    def refused(seen: Job, **options: Any) -> Job | None:
        if seen.pk == odd.pk:
            raise DataError("invalid byte sequence")
        return rescue(seen, **options)

    monkeypatch.setattr(ledger, "rescue", refused)
    assert rescuer.rescue_lost() == rescuer.Rescued(restarted=1)
    assert Job.objects.get(pk=other.pk).state == "scheduled"


def test_what_came_too_late_in_an_outage_ends_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescuer, "LIMIT", 2)
    for _ in range(5):
        make_job(useful_until=timezone.now() - timedelta(seconds=1))
    assert rescuer.rescue_lost().expired == 5
