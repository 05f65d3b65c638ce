"""Draining: nothing more is sent, what runs may end, and the exit code tells."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from jobs import dispatcher, drains, ledger, pauses
from jobs.models import Job, Pause
from tests.factories import make_job
from tests.jobs.shell import Shell

pytestmark = pytest.mark.django_db

SECONDS = timedelta(seconds=30)


def finish_one(_: float) -> None:
    """What a worker does while the drain sleeps."""
    assert ledger.succeed(Job.objects.filter(state="running", queue="default")[0])


def test_a_drain_takes_back_what_is_queued_and_waits_for_what_runs() -> None:
    make_job("queued"), make_job("running"), make_job("running"), make_job("running", queue="messages")
    told = list(drains.drain("default", SECONDS, by="olga", sleep=finish_one))
    assert [(state.taken_back, state.running) for state in told][:2] == [(1, 2), (1, 1)]
    assert told[-1].empty
    assert dispatcher.dispatch_due() == 0


def test_a_drain_gives_up_when_its_time_is_over_and_leaves_the_queue_paused() -> None:
    make_job("running")
    (told,) = drains.drain("default", timedelta(), by="olga")
    assert not told.empty
    assert pauses.active().queues == {"default"}


jobs = Shell("jobs")


def test_the_command_drains_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drains, "time", SimpleNamespace(monotonic=lambda: 7.0))  # a slow machine takes a while
    text = jobs.screen("drain", "default", "--by", "olga", "--reason", "new disk")
    assert "Empty after 0.0 s" in text and "jobs resume queue default" in text
    assert (Pause.objects.get().by, Pause.objects.get().reason) == ("olga", "new disk")


def test_the_command_ends_with_3_when_something_still_runs() -> None:
    make_job("running")
    code, said = jobs.refuses("drain", "default", "--timeout", "0")
    assert code == 3 and "1 still running" in said


def test_pausing_and_resuming_by_the_command() -> None:
    make_job("queued", tenant="venue-7")
    assert "until resumed; 1 queued jobs taken back" in jobs.screen("pause", "tenant", "venue-7")
    assert "Resumed tenant venue-7" in jobs.screen("resume", "tenant", "venue-7")
    (told,) = jobs.lines("pause", "task", "probe.ok", "--for", "2h")
    until = Pause.objects.get().until
    assert until and timedelta(hours=1) < until - Pause.objects.get().at <= timedelta(hours=2, seconds=1)
    assert told == {"paused": "task", "name": "probe.ok", "until": until.isoformat(), "taken_back": 0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["pause", "queue", "mesages"], "There are clock, default, messages"),
        (["drain", "mesages"], "There are clock, default, messages"),
        (["pause", "task", "probe.typo"], "probe.ok"),
        (["resume", "queue", "default"], "was not paused"),
        (["pause", "queue", "default", "--for", "soon"], "no duration"),
    ],
)
def test_a_slip_of_the_pen_is_refused_with_what_there_is(words: list[str], says: str) -> None:
    assert says in jobs.refuses(*words)[1]
    assert not Pause.objects.exists()
