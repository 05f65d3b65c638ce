"""Ticks without beat: workers stand in for the clock when nobody ticks, and only then."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from jobs import broker, clock, dispatcher, rescuer, testing, ticks
from jobs.heartbeat import worker_name
from jobs.models import Clock
from jobs.standin import StandIn
from tests.conftest import InProcessWorker
from tests.factories import make_job

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _clock_that_stands_still(db: None) -> Iterator[None]:
    """A tick of nine seconds ago is soon one of ten, on a machine that is busy."""
    with testing.frozen(timezone.now()):
        yield


@pytest.fixture
def standin(worker: InProcessWorker) -> StandIn:
    return StandIn()


def ticked(ago: timedelta, by: str = ticks.CLOCK) -> None:
    Clock.objects.update_or_create(pk=1, defaults={"ticked_at": timezone.now() - ago, "ticked_by": by})


def test_a_worker_does_not_tick_while_the_clock_does(standin: StandIn, worker: InProcessWorker) -> None:
    ticked(9 * SECOND)
    make_job()
    assert not standin.stand_in()
    assert worker.messages() == []


@pytest.mark.parametrize("ago", [11 * SECOND, -11 * SECOND, None], ids=["long ago", "in the future", "never"])
def test_a_worker_ticks_when_nobody_does(standin: StandIn, worker: InProcessWorker, ago: timedelta | None) -> None:
    if ago is not None:
        ticked(ago)
    make_job()
    make_job("running", lease="over")
    assert standin.stand_in()
    assert len(worker.messages()) == 1
    assert Clock.row().ticked_by == worker_name()
    dispatcher.dispatch_due()
    assert len(worker.messages()) == 1  # what the rescuer brought back


def test_who_stands_in_goes_on_and_the_others_do_not(standin: StandIn, worker: InProcessWorker) -> None:
    other = StandIn()
    other._name = "elsewhere:7"
    ticked(11 * SECOND)
    assert standin.stand_in()
    assert not other.stand_in()
    make_job()
    assert standin.stand_in()
    assert len(worker.messages()) == 1


def test_who_stands_in_stops_when_the_clock_ticks_again(standin: StandIn, worker: InProcessWorker) -> None:
    ticked(11 * SECOND)
    assert standin.stand_in()
    clock.dispatch()
    assert Clock.row().ticked_by == ticks.CLOCK
    make_job()
    assert not standin.stand_in()
    assert worker.messages() == []


def test_without_a_broker_a_stand_in_does_no_harm(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> str:
        raise OperationalError("connection refused")

    monkeypatch.setattr(broker, "epoch", refused)
    ticked(11 * SECOND)
    job = make_job()
    lost = make_job("running", lease="over")
    assert standin.stand_in()
    job.refresh_from_db()
    lost.refresh_from_db()
    assert (job.state, lost.state) == ("scheduled", "scheduled")


def test_a_look_that_is_no_tick_does_not_count_as_one(worker: InProcessWorker) -> None:
    dispatcher.dispatch_due()
    rescuer.rescue_lost()
    assert Clock.row().ticked_at is None


def test_ticks_are_written_every_two_seconds_at_most(worker: InProcessWorker, django_assert_num_queries) -> None:
    ticked(SECOND)
    with django_assert_num_queries(1):
        ticks.look(ticks.CLOCK)
    ticked(3 * SECOND)
    with django_assert_num_queries(2):
        ticks.look(ticks.CLOCK)


def test_a_fork_waits_for_the_statement_that_runs(standin: StandIn) -> None:
    """A pool process that is forked in the middle of one would inherit its connection."""
    standin._before_fork()
    assert standin._busy.locked()
    standin._after_fork()
    assert not standin._busy.locked()
