"""The clock that jumps: what the arithmetic says, and that nothing is sent while nobody believes the clock."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs import dispatcher, hold, queues, rescuer, testing, ticks
from jobs.hold import AGREEING, PATIENCE, Reading, Verdict, Witness, jump
from jobs.models import Clock, Job
from tests.conftest import InProcessWorker
from tests.factories import HOUR, MINUTE, make_job

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


def at(steady: float, *, off: timedelta = timedelta(), latency: float = 0.0) -> Reading:
    """The clocks `steady` seconds after noon, the database's being `off`."""
    return Reading(steady, NOON + timedelta(seconds=steady) + off, latency)


class World:
    """A witness that looks every second, and the row that all witnesses share."""

    def __init__(self) -> None:
        self.witness, self.steady, self.off = Witness(), 0.0, timedelta()
        self.held = False
        self.ticked_at: datetime | None = None

    def look(self, *, seconds: float = 1.0) -> Verdict:
        self.steady += seconds
        reading = at(self.steady, off=self.off)
        verdict = self.witness.look(reading, ticked_at=self.ticked_at, held=self.held)
        self.held = verdict in (Verdict.HOLD, Verdict.HELD)
        self.ticked_at = reading.now
        return verdict

    def look_until(self, verdict: Verdict, most: int = 1_000) -> int:
        return next(count for count in range(1, most) if self.look() is verdict)


@pytest.fixture
def world() -> World:
    made = World()
    assert [made.look() for _ in range(3)] == [Verdict.FINE] * 3
    return made


# --- The arithmetic ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "parted"),
    [
        (at(0), at(1), timedelta()),
        (at(0), at(1, off=timedelta(seconds=29)), timedelta()),
        (at(0), at(1, off=HOUR), HOUR),
        (at(0), at(1, off=-HOUR), -HOUR),
        (at(0), at(86_400), timedelta()),
        (at(0), at(86_400, off=timedelta(seconds=40)), timedelta()),  # a day of drift, nobody set it
        (at(0), at(86_400, off=timedelta(seconds=90)), timedelta(seconds=90)),
        (at(0), at(1, off=MINUTE, latency=45.0), timedelta()),  # the answer was late, not the clock wrong
    ],
)
def test_a_jump_is_what_delay_and_drift_cannot_explain(before: Reading, after: Reading, parted: timedelta) -> None:
    assert jump(before, after) == parted


@pytest.mark.parametrize("off", [HOUR, -HOUR, 31 * timedelta(seconds=1)])
def test_a_jump_either_way_is_held_until_the_clock_has_been_back_for_some_ticks(world: World, off: timedelta) -> None:
    world.off = off
    assert world.look() is Verdict.HOLD
    assert [world.look() for _ in range(5)] == [Verdict.HELD] * 5
    world.off = timedelta()
    assert world.look_until(Verdict.RELEASE) == AGREEING
    assert world.look() is Verdict.FINE


def test_a_clock_that_is_back_for_a_moment_only_is_not_believed(world: World) -> None:
    world.off = HOUR
    world.look()
    world.off = timedelta()
    assert world.look() is Verdict.HELD
    world.off = HOUR
    assert world.look_until(Verdict.RELEASE) >= PATIENCE.total_seconds()


def test_the_looks_at_a_clock_that_is_back_have_to_follow_each_other(world: World) -> None:
    world.off = HOUR
    world.look()
    world.off = timedelta()
    for _ in range(AGREEING - 1):
        world.look()
    world.off = HOUR
    world.look()
    world.off = timedelta()
    assert world.look() is Verdict.HELD


def test_a_clock_that_keeps_its_new_time_is_believed_in_the_end(world: World) -> None:
    world.off = HOUR
    world.look()
    assert world.look_until(Verdict.RELEASE) == PATIENCE.total_seconds()
    assert world.look() is Verdict.FINE


def test_slow_drift_is_no_jump_however_far_it_goes(world: World) -> None:
    for _ in range(2_000):
        world.off += timedelta(milliseconds=200)
        assert world.look() is Verdict.FINE


def test_a_person_may_believe_a_clock_at_once(world: World) -> None:
    world.off = HOUR
    world.look()
    world.look()
    world.held = False
    assert [world.look() for _ in range(5)] == [Verdict.FINE] * 5
    world.off = 2 * HOUR
    assert world.look() is Verdict.HOLD  # the next jump is another matter


def test_a_process_that_starts_after_the_clock_went_back_holds_by_the_last_tick() -> None:
    started = World()
    started.ticked_at, started.off = NOON, -HOUR
    assert started.look() is Verdict.HOLD


def test_a_process_that_starts_after_a_downtime_does_not_take_it_for_a_jump() -> None:
    started = World()
    started.ticked_at = NOON - 8 * HOUR
    assert started.look() is Verdict.FINE


def test_a_process_that_starts_during_a_hold_does_not_end_it(world: World) -> None:
    started = World()
    started.held, started.ticked_at = True, NOON
    assert started.look() is Verdict.HELD
    assert started.look_until(Verdict.RELEASE) == PATIENCE.total_seconds()


def test_a_second_witness_of_a_jump_that_was_over_before_it_looked_again_stays_calm(world: World) -> None:
    world.off = HOUR
    world.look()
    world.off, world.held = timedelta(), False  # another process has seen it come back, and released
    assert world.look() is Verdict.FINE


# --- With the row --------------------------------------------------------------------------------------


@pytest.fixture
def set_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[timedelta], None]]:
    """Set the database's clock ahead or back, as seen from here: our steady clock falls behind it.

    Else both stand still: a pause between the looks at the one and at the other would be a jump, too.
    """
    tolerance, behind = hold.TOLERANCE, [0.0]

    def ahead(by: timedelta) -> None:
        behind[0] += by.total_seconds()

    with testing.frozen(timezone.now()), monkeypatch.context() as patch:
        patch.setattr(hold, "TOLERANCE", tolerance)
        patch.setattr(ticks, "_said_at", -1e9)
        patch.setattr(ticks, "steady", lambda: -behind[0])
        yield ahead


@pytest.mark.django_db
def test_nothing_is_sent_nor_rescued_while_the_clock_is_not_believed(
    worker: InProcessWorker, set_ahead, caplog: pytest.LogCaptureFixture
) -> None:
    assert dispatcher.dispatch_due(by="clock") == 0
    make_job()
    running = make_job("running", lease="over")
    set_ahead(HOUR)
    with caplog.at_level(logging.ERROR):
        assert [dispatcher.dispatch_due(by="clock") for _ in range(3)] == [0, 0, 0]
    said = [record.levelname for record in caplog.records if record.name.startswith("jobs")]
    assert said == ["ERROR"]  # once a minute
    assert "jumped by 3600 s" in caplog.text and "release_hold" in caplog.text
    assert rescuer.rescue_lost() == rescuer.Rescued()
    assert Job.objects.get(pk=running.pk).state == "running"
    assert worker.messages() == []
    row = Clock.row()
    assert row.held_since and "jumped by 3600 s" in row.held_reason
    assert row.ticked_at and timezone.now() - row.ticked_at < MINUTE  # it still ticks: nobody needs to stand in


@pytest.mark.django_db
def test_dispatch_goes_on_by_itself_when_the_clock_is_back(worker: InProcessWorker, set_ahead) -> None:
    dispatcher.dispatch_due()
    make_job()
    set_ahead(-HOUR)
    assert dispatcher.dispatch_due() == 0
    set_ahead(HOUR)
    assert [dispatcher.dispatch_due() for _ in range(AGREEING)] == [0] * (AGREEING - 1) + [1]
    assert Clock.row().held_since is None


@pytest.mark.django_db
def test_a_hold_by_the_last_tick_ends_when_a_person_releases_it(worker: InProcessWorker, set_ahead, capsys) -> None:
    Clock.objects.create(ticked_at=timezone.now() + HOUR, ticked_by="clock")
    make_job()
    assert dispatcher.dispatch_due() == 0
    call_command("release_hold")
    assert json.loads(capsys.readouterr().out) == {"released": True}  # into a pipe
    assert dispatcher.dispatch_due() == 1
    call_command("release_hold")
    assert json.loads(capsys.readouterr().out) == {"released": False}


@pytest.mark.django_db
def test_the_admin_shows_the_hold_and_releases_it(client: Client) -> None:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    Clock.objects.create(held_since=timezone.now(), held_reason="the database's clock jumped by 3600 s")
    page = reverse("admin:jobs_clock_changelist")
    assert "jumped by 3600 s" in client.get(page).content.decode()
    answer = client.post(page, {"action": "release", "_selected_action": ["1"]}, follow=True)
    assert [str(message) for message in answer.context["messages"]] == [
        "Released: what is due goes out with the next tick."
    ]
    assert Clock.row().held_since is None
    assert LogEntry.objects.get().change_message == "release"
    client.post(page, {"action": "release", "_selected_action": ["1"]}, follow=True)
    assert LogEntry.objects.count() == 1


@pytest.mark.django_db
def test_a_worker_refills_nothing_while_the_clock_is_not_believed(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.due()  # adds the row of the queue
    make_job()
    Clock.objects.create(held_since=timezone.now(), held_reason="the database's clock jumped by 3600 s")
    monkeypatch.setattr(dispatcher, "REFILL_INTERVAL", timedelta())
    assert dispatcher.refill("default") == 0
    assert worker.messages() == []
