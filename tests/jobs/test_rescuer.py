"""One pass of the rescuer: what is overdue comes back, what is not is left alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import rescuer
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
