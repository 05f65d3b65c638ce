"""Calls with odd words: what a row cannot hold is refused where it is written, alike on both databases."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from celery import chord, group
from django.utils import timezone

from jobs import batches, pauses, testing
from jobs.durable import Snooze
from jobs.models import Job, Pause
from tests import probes
from tests.conftest import InProcessWorker
from tests.factories import HOUR

pytestmark = pytest.mark.django_db

TEXTS = ("tenant", "concurrency_key", "correlation_id")


@pytest.mark.parametrize("name", TEXTS)
def test_none_is_no_option(name: str) -> None:
    said: dict[str, Any] = {name: None}
    probes.ok.apply_async((1,), **said)
    assert getattr(Job.objects.get(), name) == ""


@pytest.mark.parametrize("name", [*TEXTS, "unique_key"])
@pytest.mark.parametrize("value", [7, b"x", "x" * 256, "a\0b", "\ud800"], ids=["int", "bytes", "long", "nul", "half"])
def test_a_text_that_its_column_does_not_take_is_refused(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        probes.ok.apply_async((1,), **{name: value})
    assert not Job.objects.exists()


def test_an_empty_unique_key_does_not_make_all_jobs_the_same() -> None:
    with pytest.raises(ValueError, match="unique_key is empty"):
        probes.ok.apply_async((1,), unique_key="")


@pytest.mark.parametrize("name", ["eta", "expires"])
@pytest.mark.parametrize("value", [datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=["1", "9999"])
def test_a_year_that_no_zone_has_is_refused_before_a_page_has_to_show_it(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="1970 to 2200"):
        probes.ok.apply_async((1,), **{name: value})


def test_a_date_is_no_moment() -> None:
    with pytest.raises(TypeError, match="no moment"):
        probes.ok.apply_async((1,), eta=date(2030, 1, 1))


@pytest.mark.parametrize("until", [0, -5, date(2030, 1, 1), datetime.max.replace(tzinfo=UTC)], ids=str)
def test_a_snooze_until_no_moment_is_refused(until: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="until="):
        Snooze(until)


def test_a_snooze_until_a_time_that_is_past_is_short_and_not_counted(worker: InProcessWorker) -> None:
    with testing.frozen(timezone.now()) as clock:
        probes.snooze.delay((clock.now - HOUR).isoformat())
        worker.run_due()
        worker.run_due()
        assert Job.objects.get().attempts.count() == 1
        clock.advance(timedelta(seconds=1))
        worker.run_due()
    job = Job.objects.get()
    assert (job.failures, job.attempts.count()) == (0, 2)


def test_a_pause_that_is_over_is_refused() -> None:
    with pytest.raises(ValueError, match="past"):
        pauses.pause("queue", ["default"], by="olga", until=timezone.now() - HOUR)
    assert not Pause.objects.exists()


def test_who_cancels_a_handle_that_is_no_jobs_hears_that_there_is_none() -> None:
    assert probes.ok.AsyncResult("no-uuid").revoke() is None


# --- Who waits for jobs has to be able to count them ----------------------------------------------------


def once(number: int) -> Any:
    call: Any = probes.ok.s(number)
    return call.set(unique_key="once")


def test_a_batch_with_the_same_job_twice_is_refused_and_leaves_nothing() -> None:
    call = probes.ok.s(1)
    call.freeze()
    with pytest.raises(ValueError, match="counts its jobs"):
        batches.start("twice", [call, call])
    assert not Job.objects.exists()


def test_a_batch_with_a_job_that_is_there_already_is_refused() -> None:
    call = probes.ok.s(1)
    call.freeze()
    call.apply_async()
    with pytest.raises(ValueError, match="counts its jobs"):
        batches.start("again", [call])


def test_a_unique_key_in_a_chord_is_refused_instead_of_waiting_for_another_ones_job_for_ever() -> None:
    with pytest.raises(TypeError, match="might be another's job"):
        chord([once(n) for n in range(2)])(probes.told.s())


def test_so_is_one_in_a_group_whose_handle_would_know_no_job() -> None:
    with pytest.raises(TypeError, match="might be another's job"):
        group([once(n) for n in range(2)])()
    assert not Job.objects.exists()
