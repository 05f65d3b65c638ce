"""A new edition of the zone database, and the arithmetic of time against a second implementation (L7)."""

import shutil
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.models import Job
from notifications import reconciler, timing, zones
from notifications.models import Booking, Delivery, ZoneDatabase
from tests import timing_property
from tests.factories import HOUR, alice, bob, make_booking, make_payment
from tests.stories.conftest import Day

BERLIN = "Europe/Berlin"


def forget() -> None:
    """What a process that starts anew has not read yet."""
    zoneinfo.ZoneInfo.clear_cache()
    timing._names.cache_clear()
    timing._quiet_around.cache_clear()


@pytest.fixture
def new_edition(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`new_edition("2099a", {"Europe/Berlin": "Europe/Istanbul"})`: from now on the one's clocks are the other's."""
    before = zoneinfo.TZPATH

    def install(version: str, changes: dict[str, str]) -> None:
        folder = tmp_path / version
        for name, other in changes.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(zones._file(other))
        (folder / "+VERSION").write_text(version)
        zoneinfo.reset_tzpath([str(folder), *before])
        forget()

    yield install
    zoneinfo.reset_tzpath(before)
    forget()
    shutil.rmtree(tmp_path)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.django_db
def test_clocks_that_will_show_something_else_move_only_what_they_are_about(day: Day, new_edition: Any) -> None:
    zones.refresh()
    here = make_booking(alice(), starts=at("2027-03-26T10:00+01:00"))
    there = make_booking(bob(), starts=at("2027-03-26T10:00-04:00"), time_zone="America/New_York")
    payment = make_payment(alice(email="b@example.com"))
    day.goes_on_until(at("2027-03-25T12:00+01:00"), step=HOUR)  # her reminder of the day before is sent
    before = {row.pk: row.send_at for row in Delivery.objects.all()}

    new_edition("2099a", {BERLIN: "Europe/Istanbul"})
    assert zones.refresh() == 1
    here.refresh_from_db()
    assert here.starts_at == at("2027-03-26T10:00+03:00")
    assert here.ends_at - here.starts_at == HOUR
    assert (here.local_start.hour, here.revision) == (10, 1)
    moved = {row.pk for row in Delivery.objects.all() if row.send_at != before[row.pk]}
    assert moved == {row.pk for row in here.deliveries.filter(state="planned")}
    for delivery in here.deliveries.filter(state="planned"):
        assert Job.objects.get(pk=delivery.pk).run_at == delivery.send_at == before[delivery.pk] - 2 * HOUR
    assert here.deliveries.filter(state="sent").count() == 1
    there.refresh_from_db()
    assert there.starts_at == at("2027-03-26T10:00-04:00")

    assert zones.refresh() == 0
    list(reconciler.reconcile())  # what hangs on a date, and on hours of the customer, follows now
    assert payment.deliveries.get(rule__name="On the day a payment is due").send_at.hour == 6


@pytest.mark.django_db
def test_a_machine_with_an_older_edition_undoes_nothing(day: Day, new_edition: Any) -> None:
    zones.refresh()
    make_booking(alice(), starts=at("2027-03-26T10:00+01:00"))
    new_edition("2099a", {BERLIN: "Europe/Istanbul"})
    zones.refresh()
    new_edition("2098z", {BERLIN: "Europe/Lisbon"})
    assert zones.refresh() == 0
    assert Booking.objects.get().starts_at == at("2027-03-26T10:00+03:00")
    assert ZoneDatabase.objects.get().version.startswith("2099a ")


@pytest.mark.django_db
def test_the_hourly_reconcile_notices_a_new_edition(day: Day, new_edition: Any) -> None:
    zones.refresh()
    booking = make_booking(alice(), starts=at("2027-03-26T10:00+01:00"))
    new_edition("2099a", {BERLIN: "Europe/Istanbul"})
    reconciler.reconcile_all.delay()
    day.goes_on_until(at("2027-03-24T10:00+01:00"), step=HOUR)
    booking.refresh_from_db()
    assert booking.starts_at == at("2027-03-26T10:00+03:00")


def test_a_sample_of_the_property_run_finds_nothing_wrong() -> None:
    _, cases, failures = timing_property.run(every=800)
    assert cases > 5_000
    assert failures == []


def test_the_property_run_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    real = timing.instant
    monkeypatch.setattr(timing, "instant", lambda day, at, zone, fold=1: real(day, at, zone, fold))
    assert timing_property.run(every=4000)[2]
    monkeypatch.setattr(timing, "instant", real)
    monkeypatch.setattr(timing, "EARLY", timedelta())
    monkeypatch.setattr(timing.Quiet, "covers", lambda self, moment: False)
    assert timing_property.run(every=4000)[2]
