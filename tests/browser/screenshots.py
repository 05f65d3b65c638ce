"""`python -m tests.browser.screenshots`: the pictures that the README shows, into docs/screenshots.

Run it after a change of looks. The practice on them is invented, its times are of today; a picture that is too large
is refused.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps an event loop in this thread

import django

django.setup()

from django.conf import settings
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from playwright.sync_api import Browser, Page, sync_playwright

from jobs import stats, ticks
from jobs.models import Clock, Job, QueueWorker
from notifications import bookings
from notifications.models import Booking, Breaker, Customer, Delivery, OutboxMessage, ReminderRule
from tests.browser import scene
from tests.browser.conftest import QUIET, _session
from tests.factories import HOUR, MINUTE, make_booking
from tests.stack import ready
from tests.stack.live import Live, pointed, started

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
LARGEST = 150_000  # bytes
SECOND = timedelta(seconds=1)
BERLIN = ZoneInfo("Europe/Berlin")
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 780}
NAMES = ("Ada Winter", "Ben Okafor", "Clara Sommer", "Deniz Aydin", "Eva Lindqvist", "Farid Haddad", "Greta Moll")
SERVICES = (("Check-up", 30), ("Cleaning", 45), ("Filling", 60))


class Unblocked:
    """In the place of pytest's, which keeps tests from a database that is not theirs."""

    @contextmanager
    def unblock(self) -> Iterator[None]:
        yield


def practice() -> Booking:
    """Today's appointments, and those of two more days. Returns the one whose page is shown."""
    people = [
        Customer.objects.create(name=name, email=f"{name.split()[0].lower()}@example.com", time_zone="Europe/Berlin")
        for name in NAMES
    ]
    Customer.objects.filter(pk=people[1].pk).update(time_zone="America/New_York")
    people[1].refresh_from_db()
    today = timezone.now().astimezone(BERLIN).date()
    made = [booking for n in range(3) for booking in _day(today + timedelta(days=n), people)]
    _past()
    for n in (3, 8, 12):
        bookings.confirm(made[n])
    bookings.cancel(made[6])
    _doubts(made)
    _at_work()
    return made[15]  # of Ben, who is in New York


def _day(day: date, people: list[Customer]) -> Iterator[Booking]:
    for n in range(22):
        service, minutes = SERVICES[n % 3]
        begins = datetime.combine(day, time(8 + n // 3, 20 * (n % 3)), BERLIN)
        place = ("Harbour practice", "Old town")[n % 2]
        usual = {"ends_at": begins + minutes * MINUTE, "service": service, "location": place}
        yield make_booking(people[n % len(people)], starts=begins, **usual)


def _past() -> None:
    """They were booked long ago: what was due has been sent."""
    due = {"send_at__lt": timezone.now(), "booking__location__in": ("Harbour practice", "Old town")}
    pks = list(Delivery.objects.filter(**due).values_list("pk", flat=True))
    told = {"state": "sent", "reason": "", "sent_at": F("send_at") + 2 * SECOND, "intent_at": F("send_at")}
    Delivery.objects.filter(pk__in=pks).update(**told)


def _doubts(made: list[Booking]) -> None:
    Delivery.objects.filter(state="in_doubt").update(state="sent", doubts=0, sent_at=timezone.now())  # the scene's own
    why = ("the connection broke after the message was handed over", "the worker was lost while sending")
    for n, booking in enumerate((made[5], made[10], made[13])):
        row = booking.deliveries.order_by("-send_at")[0]
        told = {"state": "in_doubt", "doubts": 1, "detail": why[n % 2], "intent_at": timezone.now() - (3 - n) * HOUR}
        Delivery.objects.filter(pk=row.pk).update(**told)
    OutboxMessage.objects.all().delete()


def _at_work() -> None:
    """The processes that a site has, at this moment; the scene's own troubles are other pictures'."""
    now = timezone.now()
    Clock.objects.update_or_create(pk=Clock.ONLY, defaults={"ticked_at": now, "ticked_by": ticks.CLOCK})
    each_second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    ticking = {"task": stats.TICK, "interval": each_second, "last_run_at": now}
    PeriodicTask.objects.update_or_create(name="jobs: look for what is due", defaults=ticking)
    QueueWorker.objects.update(seen_at=now)
    Breaker.objects.all().delete()
    Job.objects.filter(task="probe.ok", state="scheduled").update(run_at=now + 2 * HOUR)


def pictures(booking: Booking) -> dict[str, tuple[str, dict[str, int], Callable[[Page], Any] | None]]:
    """By name: which page, how large the window, and what is done there first."""
    day = f"{reverse('admin:notifications_booking_day')}?day={booking.wall_date}"
    one = reverse("admin:notifications_booking_change", args=[booking.pk])
    rule = ReminderRule.objects.get(name__startswith="1 hour")
    return {
        "dashboard": (reverse("admin:index"), DESK, _drawn),
        "booking": (one, DESK, None),
        "day": (day, DESK, None),
        "doubts": (reverse("admin:notifications_delivery_doubts"), DESK, None),
        "rule": (reverse("admin:notifications_reminderrule_change", args=[rule.pk]), DESK, _two_hours),
        "phone": (day, PHONE, None),
    }


def _drawn(page: Page) -> None:
    """The processes have just told that they live."""
    _at_work()
    page.reload(wait_until="load")
    page.locator("canvas.chart").wait_for()
    page.wait_for_load_state("networkidle")


def _two_hours(page: Page) -> None:
    page.fill("#id_offset_0", "2")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("load")


def _squeeze(file: Path) -> None:
    """Without loss, by a quarter, where oxipng is at hand: `pip install pyoxipng`."""
    if find_spec("oxipng"):
        file.write_bytes(import_module("oxipng").optimize_from_memory(file.read_bytes(), level=4))


def take(browser: Browser, site: str, booking: Booking) -> list[str]:
    """Returns the names of pictures that are too large."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    large = []
    for name, (path, window, first) in pictures(booking).items():
        context = browser.new_context(viewport=window, locale="en", reduced_motion="reduce")  # type: ignore[arg-type]
        context.add_cookies([{"name": "sessionid", "value": _session("root"), "url": site}])
        page = context.new_page()
        page.goto(site + path, wait_until="load")
        if first:
            first(page)
        page.evaluate("document.fonts.ready")
        page.screenshot(path=FOLDER / f"{name}.png")
        context.close()
        _squeeze(FOLDER / f"{name}.png")
        size = (FOLDER / f"{name}.png").stat().st_size
        print(f"{name}.png: {size // 1000} kB")
        large += [name] if size > LARGEST else []
    return large


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        print("chromium is not installed (Debian: apt install chromium)")
        return 1
    ready.begin()
    try:
        return _taken(chromium)
    finally:
        ready.forget()


def _taken(chromium: str) -> int:
    env = {"SECRET_KEY": settings.SECRET_KEY, "WEB_CONCURRENCY": "1"}
    without = {"flower", "worker", "clock", "beat"}
    with (
        tempfile.TemporaryDirectory() as directory,
        started(Path(directory), without=without, env=env) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=QUIET)
        large = _of(site, browser)
        browser.close()
    if large:
        print(f"Larger than {LARGEST // 1000} kB: {', '.join(large)}")
    return 1 if large else 0


def _of(site: Live, browser: Browser) -> list[str]:
    with pointed(site, Unblocked()):
        scene.set_up()
        return take(browser, site.stack.urls["site"].rstrip("/"), practice())


if __name__ == "__main__":
    sys.exit(main())
