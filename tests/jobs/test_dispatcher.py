"""The dispatcher and the broker: what it lost is sent again, what it refused too, and nothing that still waits."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from jobs import broker, dispatcher, messages
from jobs.models import Job
from tests.conftest import InProcessWorker
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def epoch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The broker's; the last one is the present one."""
    epochs = ["first"]
    monkeypatch.setattr(broker, "epoch", lambda: epochs[-1])
    return epochs


def test_a_broker_that_lost_its_messages_gets_them_again_at_the_next_tick(
    worker: InProcessWorker, epoch: list[str]
) -> None:
    job = make_job()
    dispatcher.dispatch_due()
    assert len(worker.messages()) == 1  # and gone with the broker's data
    epoch.append("second")
    assert dispatcher.dispatch_due() == 1
    assert len(worker.messages()) == 1
    assert Job.objects.get(pk=job.pk).epoch == "second"


def test_a_message_that_still_waits_is_not_sent_again(worker: InProcessWorker, epoch: list[str]) -> None:
    make_job()
    assert [dispatcher.dispatch_due() for _ in range(3)] == [1, 0, 0]
    assert len(worker.messages()) == 1


def test_without_a_broker_nothing_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> str:
        raise OperationalError("connection refused")

    monkeypatch.setattr(broker, "epoch", refused)
    job = make_job()
    assert dispatcher.dispatch_due() == 0
    assert Job.objects.get(pk=job.pk).state == "scheduled"


def test_what_the_broker_refuses_is_scheduled_again_at_once(
    worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would wait for its lease, longer each time."""
    jobs = [make_job(priority=20), make_job(priority=10), make_job(priority=1)]
    real = messages._send

    def second_is_refused(message: list[Job], producer: Any) -> None:
        if message[0].pk == jobs[1].pk:
            raise OperationalError("connection reset")
        real(message, producer)

    monkeypatch.setattr(messages, "_send", second_is_refused)
    assert dispatcher.dispatch_due() == 1
    assert [Job.objects.get(pk=job.pk).state for job in jobs] == ["queued", "scheduled", "scheduled"]
    monkeypatch.undo()
    assert dispatcher.dispatch_due() == 2


@pytest.mark.parametrize("error", [OperationalError("connection refused"), DatabaseError("it restarts")])
def test_a_refill_that_fails_is_left_to_the_next_tick(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The job whose end led to it has long been done."""

    def away() -> str:
        raise error

    monkeypatch.setattr(broker, "epoch", away)
    monkeypatch.setattr(dispatcher, "REFILL_INTERVAL", timedelta())
    make_job()
    assert dispatcher.refill("default") == 0
    monkeypatch.undo()
    assert dispatcher.dispatch_due() == 1
