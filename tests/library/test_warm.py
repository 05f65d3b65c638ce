"""The warm cache: who works, who waits for nobody, and that the dashboard shows what was got."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.durable import PayloadError
from jobs.library import warm
from jobs.models import Job
from notifications import days
from tests.factories import DAY, HOUR, alice, make_booking, make_payment
from tests.jobs.test_scopes import client_of, person
from tests.virtual import one_moment as one_moment

pytestmark = pytest.mark.django_db
GOT: list[int] = []


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    GOT.clear()

    def get() -> int:
        GOT.append(1)
        return len(GOT)

    registered = {**warm._registered, "probe": warm.Figure("probe", get, 60)}
    monkeypatch.setattr(warm, "_registered", registered)


def result(worker: Any, **said: Any) -> Any:
    handle = warm.warm_cache.delay(**{"source": "probe", "ttl": 60} | said)
    worker.run_due()
    job = Job.objects.get(pk=handle.id)
    assert job.state == "succeeded", job.reason
    return job.result


def test_what_a_job_got_is_read_without_getting_it_again(worker: Any) -> None:
    assert result(worker)["warmed"] is True
    assert warm.current("probe").value == 1 and warm.current("probe").value == 1
    assert GOT == [1]


@pytest.mark.usefixtures("one_moment")
def test_a_value_is_never_older_than_its_seconds(worker: Any) -> None:
    result(worker, ttl=30)
    with time_machine.travel(timezone.now() + timedelta(seconds=15), tick=False):
        assert warm.current("probe").value == 1
    with time_machine.travel(timezone.now() + timedelta(seconds=60), tick=False):
        assert warm.current("probe").value == 2


def test_while_one_works_the_others_do_not(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile() -> int:
        GOT.append(1)
        if len(GOT) == 1:
            second = warm.warm_cache.delay("probe", 60)
            worker.run_due()
            assert Job.objects.get(pk=second.id).result["warmed"] is False  # type: ignore[index]
        return len(GOT)

    monkeypatch.setitem(warm._registered, "probe", warm.Figure("probe", meanwhile, 60))
    assert result(worker)["warmed"] is True
    assert GOT == [1]
    assert result(worker)["warmed"] is True  # and afterwards the next one may


def test_who_was_killed_while_getting_it_keeps_the_others_away_for_minutes_only(worker: Any) -> None:
    cache.add(warm._flight("probe"), "a worker that is gone", warm.LIMIT)
    assert result(worker)["warmed"] is False
    with time_machine.travel(timezone.now() + timedelta(seconds=warm.LIMIT + 1), tick=False):
        assert cache.add(warm._flight("probe"), "the next", 1)


def test_one_that_fails_lets_the_next_one_try(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = warm.Figure("probe", lambda: 1 / 0, 60)
    monkeypatch.setitem(warm._registered, "probe", broken)
    handle = warm.warm_cache.delay("probe", 60)
    worker.run_due()
    assert Job.objects.get(pk=handle.id).state == "failed"
    assert cache.get(warm._flight("probe")) is None


@pytest.mark.parametrize(
    "said", [{"source": "os.system"}, {"ttl": 0}, {"ttl": -1}, {"ttl": 10**9}, {"ttl": "a minute"}]
)
def test_what_nobody_registered_is_refused_at_the_call(said: dict[str, Any]) -> None:
    with pytest.raises(PayloadError):
        warm.warm_cache.delay(**{"source": "probe", "ttl": 60} | said)
    assert not Job.objects.exists()


# --- The day in figures ---------------------------------------------------------------------------------


def shown(client: Client) -> Any:
    answer = client.get(reverse("dashboard_now"))
    return {figure.name: figure for figure in answer.context["now"]["figures"]}.get("Bookings today")


@pytest.mark.usefixtures("one_moment")
def test_the_dashboard_shows_the_day_as_it_was_got(worker: Any) -> None:
    noon = timezone.localtime().replace(hour=12, minute=0, second=0, microsecond=0)
    for starts in (noon, noon + 3 * DAY, noon + 30 * DAY):
        make_booking(alice(), starts=starts, time_zone="UTC", ends_at=starts + HOUR)
    make_payment(alice(), due=-3 * DAY)
    assert days.counted() == {"day": timezone.localdate().isoformat(), "today": 1, "ahead": 1, "overdue": 1}
    result(worker, source="notifications.day")
    make_booking(alice(), starts=noon, time_zone="UTC", ends_at=noon + HOUR)
    figure = shown(client_of(person("Viewer")))
    assert figure.value == "1", "not counted again"
    assert "1 in the next 7 days; 1 payments are overdue" in figure.note


def test_what_was_counted_yesterday_is_counted_again() -> None:
    yesterday = timezone.localdate() - DAY
    kept = {"value": days.counted() | {"day": yesterday.isoformat(), "today": 77}, "at": timezone.now().isoformat()}
    cache.set(warm._key(days.NAME), kept, 900)
    assert warm.current(days.NAME).value["today"] == 0


def test_who_may_not_see_bookings_is_told_no_number_of_them() -> None:
    assert shown(client_of(person("staff"))) is None
