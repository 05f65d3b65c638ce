"""The kit for users' tests: it finds what is there, says what is not, and runs jobs as a worker does."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from jobs import bulk, dispatcher, testing
from jobs.events import events
from jobs.models import Job
from notifications.channels import CHANNELS
from notifications.channels.base import Message, Receipt, Refused
from notifications.testing import provider
from tests import probes
from tests.factories import make_job

pytestmark = pytest.mark.django_db

NOON = datetime(2020, 1, 31, 12, tzinfo=UTC)  # never the present
MINUTE = timedelta(minutes=1)


def test_arguments_are_the_same_by_place_and_by_name() -> None:
    probes.typed.delay(7, when=NOON)
    by_place = testing.assert_enqueued(probes.typed, (7,), {"when": NOON})
    assert testing.assert_enqueued(probes.typed, kwargs={"number": 7, "when": NOON}) == by_place
    testing.assert_not_enqueued(probes.typed, (8,), {"when": NOON})


def test_what_is_not_there_is_said_with_what_is() -> None:
    probes.ok.apply_async((7,), eta=NOON, queue="messages")
    with pytest.raises(AssertionError, match=r"0 of 1 such jobs of probe.ok. It has: scheduled \[7\].*in messages"):
        testing.assert_enqueued(probes.ok, (8,))
    with pytest.raises(AssertionError, match="1 of 0"):
        testing.assert_not_enqueued(probes.ok)
    with pytest.raises(AssertionError, match="0 of 1"):
        testing.assert_enqueued(probes.ok, (7,), at=NOON + MINUTE)
    testing.assert_enqueued(probes.ok, (7,), at=NOON, queue="messages")


def test_a_job_that_fails_backs_off_and_is_tried_again_when_its_time_comes() -> None:
    with testing.frozen(NOON) as clock, testing.worker() as worker:
        probes.flaky.delay()
        assert worker.drain() == 1
        job = testing.assert_enqueued(probes.flaky, at=NOON + timedelta(seconds=30), failures=1, state="scheduled")
        clock.advance(timedelta(seconds=30))
        assert worker.drain() == 1
        clock.advance(MINUTE)
        worker.drain()
        job.refresh_from_db()
        assert (job.state, job.failures) == ("failed", 3)


def test_a_snooze_is_no_failure_and_a_cancel_ends_what_runs() -> None:
    with testing.frozen(NOON), testing.worker() as worker:
        probes.snooze.delay((NOON + MINUTE).isoformat()), probes.obedient.delay()
        worker.drain()
        testing.assert_enqueued(probes.snooze, at=NOON + MINUTE, failures=0, state="scheduled")
        testing.assert_enqueued(probes.obedient, state="cancelled")


def test_now_may_be_an_argument_in_place_of_a_frozen_clock() -> None:
    with testing.worker() as worker:
        make_job(due=MINUTE)
        assert worker.run_due() == []
        assert len(worker.run_due(timezone.now() + 2 * MINUTE)) == 1


def test_what_becomes_due_while_a_job_runs_waits_for_the_next_run_however_fast_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real worker fetches more ten times a second, and tells Flower twice a second, on a thread that stays."""
    dispatcher._refilled.clear()
    monkeypatch.setattr(events, "_flows_in", 0)
    with testing.worker() as worker:
        probes.small.apply_async((1,), link=probes.ok.si("next"))
        probes.small.apply_async((2,))
        assert len(worker.run_due()) == 1  # they share a message
        testing.assert_enqueued(probes.ok, state="scheduled")
        assert len(worker.run_due()) == 1
        testing.assert_enqueued(probes.ok, state="succeeded")
    assert events._flows_in == 0


def test_the_database_shows_the_frozen_time_too() -> None:
    with testing.frozen(NOON) as clock:
        probes.ok.delay()
        assert clock.now == NOON == Job.objects.get().run_at == bulk.database_now()
        assert clock.advance(MINUTE) == NOON + MINUTE
    assert abs(timezone.now() - NOON) > MINUTE
    assert connection.vendor in ("sqlite", "postgresql")


def test_a_job_that_makes_itself_again_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "ROUNDS", 3)
    with testing.worker() as worker:
        real = worker.run_due

        def again(now: datetime | None = None) -> list[testing.Outcome]:
            make_job()
            return real(now)

        monkeypatch.setattr(worker, "run_due", again)
        with pytest.raises(AssertionError, match="after 3 rounds"):
            worker.drain()


def test_a_broker_that_is_not_in_this_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1/0")
    with pytest.raises(RuntimeError, match='Set CELERY_BROKER_URL = "memory://"'), testing.worker():
        pass


def test_a_provider_of_a_test_answers_as_told_and_then_takes_everything() -> None:
    real, message = CHANNELS["email"], Message("alice@example.com", "Hello", "You")
    with provider("email") as fake:
        fake.answers(Refused("no such mailbox"), Receipt(provider_id="7"))
        with pytest.raises(Refused):
            CHANNELS["email"](message, idempotency_key="a")
        assert CHANNELS["email"](message, idempotency_key="b").provider_id == "7"
        assert CHANNELS["email"](message, idempotency_key="c").provider_id == "test:c"
        assert (fake.taken, fake.keys) == ([message, message], ["b", "c"])
        assert fake.find("c") and not fake.find("a")
    assert CHANNELS["email"] is real
