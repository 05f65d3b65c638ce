"""A soft time limit that passes when the body is over: the outcome is written, and the job does not run again."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from billiard.pool import soft_timeout_sighandler
from celery import shared_task

from jobs import ledger
from jobs.durable import Durable
from jobs.models import Job
from tests.conftest import InProcessWorker

pytestmark = pytest.mark.django_db


@shared_task(base=Durable, name="late.alone")
def alone() -> str:
    return "done"


@shared_task(base=Durable, name="late.atomic", atomic=True)
def one_transaction() -> str:
    return "done"


@pytest.fixture
def _as_in_a_pool() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    yield
    assert signal.getsignal(signal.SIGUSR1) is soft_timeout_sighandler  # the next body is to hear of its own
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_as_in_a_pool")
@pytest.mark.parametrize("task", [alone, one_transaction], ids=["alone", "atomic"])
def test_the_outcome_is_recorded(worker: InProcessWorker, monkeypatch: pytest.MonkeyPatch, task: Any) -> None:
    succeed = ledger.succeed

    def interrupted(*args: Any, **changes: Any) -> bool:
        os.kill(os.getpid(), signal.SIGUSR1)
        return succeed(*args, **changes)

    monkeypatch.setattr(ledger, "succeed", interrupted)
    task.delay()
    worker.run_due()
    assert Job.objects.values_list("state", "result").get() == ("succeeded", "done")
