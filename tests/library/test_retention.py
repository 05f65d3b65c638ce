"""Retention: off until it is set, a schedule a day when it is, and the same end however often it is killed."""

import json
import sys
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db.models import QuerySet
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config import retention
from jobs.library import clean_up, cleaners
from jobs.models import Job
from jobs.schedules import Scheduler
from notifications import checks, forgetting
from notifications.models import Booking, Customer, Delivery
from tests.factories import DAY, HOUR, make_booking, make_payment
from tests.test_settings import run

pytestmark = pytest.mark.django_db

DELIVERIES, PEOPLE = "notifications: delete old deliveries", "notifications: forget who customers were"
TELL = """
import json, os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
from django.conf import settings
mine = {name: one for name, one in settings.CELERY_BEAT_SCHEDULE.items() if name in %r}
print(json.dumps([mine, settings.JOBS_NO_SCHEDULES]))
"""


def settings_with(**environment: str) -> Any:
    """The schedules of retention, and those that there are not, as a process with this environment has them."""
    told = run(sys.executable, "-c", TELL % ([DELIVERIES, PEOPLE],), SECRET_KEY="x" * 40, **environment)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_without_a_number_of_days_there_is_no_schedule() -> None:
    assert settings_with() == [{}, [DELIVERIES, PEOPLE]]
    assert settings_with(KEEP_DELIVERIES_DAYS="0", KEEP_PERSONAL_DATA_DAYS="0") == [{}, [DELIVERIES, PEOPLE]]


def test_with_days_there_is_one_for_what_they_are_about() -> None:
    found, off = settings_with(KEEP_DELIVERIES_DAYS="730", KEEP_PERSONAL_DATA_DAYS="1095")
    assert off == [] and set(found) == {DELIVERIES, PEOPLE}
    for name, what, days in ((DELIVERIES, "old_deliveries", 730), (PEOPLE, "personal_data", 1095)):
        wanted = clean_up.Wanted(**found[name]["kwargs"]["wanted"])
        assert (wanted.what, wanted.older_than, wanted.dry_run) == ([what], timedelta(days=days), False)
        assert (found[name]["task"], found[name]["schedule"]) == ("jobs.clean_up", 86400)
    found, off = settings_with(KEEP_PERSONAL_DATA_DAYS="1095")
    assert (list(found), off) == ([PEOPLE], [DELIVERIES])


def test_beat_takes_a_schedule_away_that_is_not_asked_for_any_more(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("django_celery_beat.schedulers.close_old_connections", lambda: None)
    every = IntervalSchedule.objects.create(every=1, period="days")
    PeriodicTask.objects.create(name="mine", task="jobs.clean_up", interval=every)
    app: Any = current_app._get_current_object()  # type: ignore[attr-defined]
    monkeypatch.setitem(app.conf.beat_schedule, PEOPLE, retention.daily("personal_data", 1095))
    settings.JOBS_NO_SCHEDULES = [DELIVERIES]
    assert PEOPLE in Scheduler(app=app).schedule
    monkeypatch.delitem(app.conf.beat_schedule, PEOPLE)
    settings.JOBS_NO_SCHEDULES = [DELIVERIES, PEOPLE]
    left = Scheduler(app=app).schedule
    assert PEOPLE not in left and {"mine", "jobs: clean up what is over"} <= set(left)
    assert not PeriodicTask.objects.filter(name=PEOPLE).exists()


@pytest.mark.parametrize("variable", ["KEEP_DELIVERIES_DAYS", "KEEP_PERSONAL_DATA_DAYS"])
@pytest.mark.parametrize(("days", "wrong"), [(-1, True), (7, True), (40_000, True), (0, False), (30, False)])
def test_days_that_nobody_means_stop_the_start(variable: str, days: int, wrong: bool, settings: Any) -> None:
    setattr(settings, variable, days)
    found = checks.check_retention()
    assert [one.id for one in found] == ["punctual.E051"] * wrong
    assert all(f"Set {variable} to 0" in (one.hint or "") for one in found)


# --- A run of it -----------------------------------------------------------------------------------------


def gone(number: int) -> Customer:
    """A customer of whom nothing happened for long."""
    customer = Customer.objects.create(name=f"Carol {number}", email=f"carol{number}@example.com")
    booking, then = make_booking(customer), timezone.now() - 800 * DAY
    Booking.objects.filter(pk=booking.pk).update(
        starts_at=then, ends_at=then + HOUR, created_at=then - DAY, status="completed"
    )
    Delivery.objects.filter(booking=booking).update(send_at=then, state="sent")
    return customer


@pytest.fixture
def people() -> dict[str, list[Customer]]:
    """Five who are long gone, one who owes something since then, one who comes tomorrow."""
    owing, coming = gone(6), gone(7)
    make_payment(owing, due=-790 * DAY)
    Delivery.objects.filter(payment__customer=owing).update(send_at=timezone.now() - 790 * DAY, state="sent")
    make_booking(coming, starts=DAY)
    return {"gone": [gone(number) for number in range(5)], "open": [owing, coming]}


def ordered(what: str, **said: Any) -> Job:
    wanted = retention.daily(what, 365)["kwargs"]["wanted"] | said
    return Job.objects.get(pk=clean_up.clean_up.delay(wanted=wanted).id)


def snapshot() -> list[Any]:
    """All that retention may touch."""
    people: QuerySet[Any] = Customer.objects.order_by("pk").values_list("pk", "name", "email")
    deliveries: QuerySet[Any] = Delivery.objects.order_by("pk").values_list("pk", "state", "detail")
    return [*people, *deliveries]


@pytest.mark.parametrize("what", ["old_deliveries", "personal_data"])
def test_a_dry_run_lists_and_changes_nothing(what: str, people: Any, worker: Any) -> None:
    before = snapshot()
    job = ordered(what, dry_run=True)
    worker.run_due()
    job.refresh_from_db()
    listed = job.result["shown"][what]  # type: ignore[index]
    if what == "personal_data":
        assert listed == [f"customer {one.pk}" for one in people["gone"]]
    else:
        bookings = Booking.objects.filter(status="completed")
        theirs = Delivery.objects.filter(booking__in=bookings).order_by("pk")
        assert listed == [f"delivery {pk}" for pk in theirs.values_list("pk", flat=True)]
    assert snapshot() == before


@pytest.mark.parametrize("what", ["old_deliveries", "personal_data"])
def test_what_is_open_or_owed_stays(what: str, people: Any, worker: Any) -> None:
    owing, coming = people["open"]
    ordered(what)
    worker.run_due()
    for one in people["open"]:
        assert Customer.objects.get(pk=one.pk).email == one.email
    assert Delivery.objects.filter(payment__customer=owing).exists()
    assert Delivery.objects.filter(booking__customer=coming, state="planned").exists()
    names = set(Customer.objects.filter(pk__in=[one.pk for one in people["gone"]]).values_list("name", flat=True))
    assert (names == {forgetting.NOBODY}) is (what == "personal_data")
    assert Delivery.objects.filter(booking__status="completed").exists() is (what == "personal_data")


@pytest.mark.parametrize("what", ["old_deliveries", "personal_data"])
@pytest.mark.parametrize("batch", [1, 2])
def test_broken_off_in_the_middle_of_a_batch_the_rerun_ends_the_same(
    what: str, batch: int, people: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaners, "BATCH", 2)
    monkeypatch.setattr("celery.app.autoretry.get_exponential_backoff_interval", lambda **_: 30)  # and by no chance 0
    place, name = {
        "old_deliveries": (QuerySet, "delete"),
        "personal_data": (forgetting, "_forget_words"),
    }[what]
    do, calls = getattr(place, name), list[int]()

    def breaking(*args: Any, **kwargs: Any) -> Any:
        done = do(*args, **kwargs)
        calls.append(1)
        if len(calls) == batch:
            raise OSError("the machine goes down, before the commit")
        return done

    monkeypatch.setattr(place, name, breaking)
    before = snapshot()
    job = ordered(what)
    worker.run_due()
    job.refresh_from_db()
    assert (job.state, job.failures) == ("scheduled", 1)
    assert (snapshot() == before) is (batch == 1), "what was not committed is as it was, the batch before it is not"
    monkeypatch.setattr(place, name, do)
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now() - HOUR)
    worker.run_due()
    job.refresh_from_db()
    assert job.state == "succeeded"
    if what == "personal_data":
        rest = Customer.objects.exclude(name=forgetting.NOBODY)
        assert set(rest.values_list("pk", flat=True)) == {one.pk for one in people["open"]}
    else:
        assert not Delivery.objects.filter(booking__status="completed").exists()
        assert Delivery.objects.filter(payment__customer=people["open"][0]).exists()


def test_a_delivery_that_is_sent_again_meanwhile_stays(
    people: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for what may go and the deletion."""
    chosen = Delivery.objects.filter(booking__customer=people["gone"][0]).order_by("pk").first()
    assert chosen
    in_batches = cleaners.in_batches

    def slow(rows: Any, asked: Any, remove: Any) -> Any:
        def later(keys: list[Any]) -> None:
            Delivery.objects.filter(pk=chosen.pk).update(state="planned")
            remove(keys)

        return in_batches(rows, asked, later)

    monkeypatch.setattr(forgetting, "in_batches", slow)
    ordered("old_deliveries")
    worker.run_due()
    assert Delivery.objects.filter(booking__status="completed").get() == chosen
