"""A story's clock: days pass in milliseconds, the worker works, and the database believes it."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db.models import DateTimeField, Value

from tests.conftest import InProcessWorker
from tests.factories import MINUTE


class Day:
    """Time that the test moves, for Python and for the database's clock alike."""

    def __init__(self, traveller: time_machine.Traveller, worker: InProcessWorker) -> None:
        self.traveller, self.worker = traveller, worker

    def goes_on_until(self, moment: datetime, step: timedelta = 5 * MINUTE) -> None:
        """Let time pass in steps, with the clock ticking and the worker working."""
        now = datetime.now(UTC)
        while now < moment:
            now = min(now + step, moment)
            self.traveller.move_to(now, tick=False)
            self.worker.run_due(now)


@pytest.fixture
def day(worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    # The database's own clock cannot be moved; where guards ask for it they get Python's, which can.
    for name, module in list(sys.modules.items()):
        if (name == "jobs.ledger" or name.startswith("notifications.")) and "Now" in vars(module):
            monkeypatch.setattr(module, "Now", lambda: Value(datetime.now(UTC), output_field=DateTimeField()))
    with time_machine.travel(datetime(2027, 3, 24, 8, tzinfo=UTC), tick=False) as traveller:
        yield Day(traveller, worker)
