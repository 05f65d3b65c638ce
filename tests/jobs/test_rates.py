"""`rate_limit`: a bucket for each task, in the database."""

from datetime import timedelta
from typing import Any

import pytest
from celery import shared_task
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import DataError
from django.test import Client
from django.utils import timezone

from jobs import buckets, dispatcher, rates, windows
from jobs.buckets import Rate
from jobs.durable import Durable
from jobs.models import Job, TaskRate
from tests import probes
from tests.factories import make_job

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@shared_task(base=Durable, name="rates.slow", rate_limit="2/m")
def slow() -> None:
    pass


@pytest.fixture(autouse=True)
def _nobody_ordered_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "BELIEVED", -1.0)


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ("10/s", Rate(10, SECOND, 10)),
        ("10", Rate(10, SECOND, 10)),
        (5, Rate(5, SECOND, 5)),
        ("100/m", Rate(100, 60 * SECOND, 1)),
        ("0.5/s", Rate(1, 2 * SECOND, 1)),
        ("1/h", Rate(1, 3600 * SECOND, 1)),
        (None, None),
        (0, None),
        ("0/m", None),
        (1e-3, Rate(1, 1000 * SECOND, 1)),
        ("1e1/m", Rate(10, 60 * SECOND, 1)),
    ],
)
def test_celerys_words_for_a_rate(said: object, rate: Rate | None) -> None:
    assert buckets.parsed(said) == rate


@pytest.mark.parametrize("said", ["often", "10/fortnight", "-1/s", "1/0/s", "/"])
def test_other_words_are_refused(said: str) -> None:
    with pytest.raises(ValueError, match="rate_limit="):
        buckets.parsed(said)


@pytest.mark.parametrize("said", ["1e9999999/s", "1E-9999999", "1e+10000000/h"])
def test_a_number_that_nobody_can_think_of_is_not_thought_of(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Celery's control takes any text, and its worker would do nothing else meanwhile."""
    monkeypatch.setattr(buckets, "Fraction", lambda text: pytest.fail(f"{text} is worked out"))
    with pytest.raises(ValueError, match="rate_limit="):
        buckets.parsed(said)


def test_no_more_are_sent_than_the_rate_allows_and_others_are_not_held_up() -> None:
    for _ in range(5):
        slow.delay()
    probes.ok.delay()
    now = timezone.now()
    assert dispatcher.dispatch_due(now) == 2  # one of each
    assert dispatcher.dispatch_due(now + 29 * SECOND) == 0
    assert dispatcher.dispatch_due(now + 31 * SECOND) == 1
    assert dispatcher.dispatch_due(now + 10 * 60 * SECOND) == 1, "tokens do not gather beyond a second's worth"


def ours() -> set[str]:
    """The tasks of this module with a rate; other modules of tests have some too."""
    return rates.known().keys() & {"rates.slow", "probe.ok"}


def test_an_order_of_celerys_control_holds_for_all_workers_until_the_next() -> None:
    for _ in range(5):
        slow.delay()
    task: Any = slow
    task.rate_limit = "100/s"
    assert task.rate_limit is None, "a worker would sit on messages"
    assert dispatcher.dispatch_due() == 5
    slow.delay()
    probes.ok.rate_limit = "1/h"
    assert ours() == {"rates.slow", "probe.ok"}
    TaskRate.objects.update(ordered="")
    assert ours() == {"rates.slow"}
    task.rate_limit = 0
    assert ours() == set()
    with pytest.raises(ValueError, match="no rate"):
        task.rate_limit = "often"
    assert Job.objects.filter(state="queued").count() == 5


@pytest.mark.parametrize("said", ["99999999999/s", "0.00001/s", "1/0.1s", "1e99/s", "1e-99/m"])
def test_a_rate_that_no_bucket_keeps_is_refused_and_not_taken_for_none(said: str) -> None:
    with pytest.raises(ValueError, match="rate_limit="):
        buckets.parsed(said)


@pytest.mark.parametrize("said", ["99999999999/s", "0.00001/s", "1e3/s", "-1/s", "often"])
def test_the_column_refuses_what_no_bucket_keeps(said: str) -> None:
    with pytest.raises(ValidationError, match="Write for example 10/s"):
        TaskRate(task="probe.ok", ordered=said).full_clean()
    TaskRate(task="probe.ok", ordered="0.5/m").full_clean()


def test_such_a_rate_written_past_us_does_not_stop_the_dispatch() -> None:
    TaskRate.objects.create(task="probe.ok", ordered="99999999999/s")
    make_job()
    make_job(queue="messages")
    assert dispatcher.dispatch_due() == 2


def test_a_queue_that_cannot_be_sent_from_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real = windows.fill

    def refuses_one(queue: str, *args: Any, **options: Any) -> list[Job]:
        if queue == "default":
            raise DataError("integer out of range")
        return real(queue, *args, **options)

    monkeypatch.setattr(windows, "fill", refuses_one)
    make_job()
    make_job(queue="messages")
    assert dispatcher.dispatch_due() == 1


def test_a_person_who_orders_such_a_rate_is_told(client: Client) -> None:
    client.force_login(User.objects.create_superuser("olga", password="x"))
    answer = client.post("/admin/jobs/taskrate/add/", {"task": "probe.ok", "ordered": "99999999999/s"})
    assert "Write for example 10/s" in answer.content.decode()
    assert not TaskRate.objects.exists()
