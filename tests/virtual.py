"""A clock that a test sets, for the database as for Python: whatever is due is due by it, and nobody waits.

`with virtual_time(start) as clock: clock.move_to(later)`. `live` lets workers and reconciler run through days of it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import testing
from jobs.models import Job
from notifications import reconciler
from tests.conftest import InProcessWorker

virtual_time = testing.frozen


@pytest.fixture
def one_moment() -> Iterator[None]:
    """However slow the machine is: no worker is missed, no tick gets old, and neither a minute nor a day ends."""
    with virtual_time(timezone.now()):
        yield


@pytest.fixture
def noon() -> Iterator[Any]:
    """Noon of today by UTC, for the whole test: no day, hour or minute ends in it."""
    with virtual_time(timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)) as clock:
        yield clock


def live(clock: Any, worker: InProcessWorker, until: datetime) -> None:
    """Go from one job's time to the next, and do what is due; reconcile once a day, as beat does every hour."""
    reconciled = timezone.now()
    while True:
        waiting = Job.objects.filter(state="scheduled", run_at__lt=until).order_by("run_at")
        due = waiting.values_list("run_at", flat=True).first()
        daily = reconciled + timedelta(days=1)
        if daily < min(due or until, until):
            clock.move_to(reconciled := daily)
            list(reconciler.reconcile())
            continue
        if due is None:
            return
        clock.move_to(max(due, timezone.now()))
        worker.run_due()
