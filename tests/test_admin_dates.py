"""Dates and times in the admin: one style per language on all pages, and the zone where it is not the reader's."""

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import strip_tags
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from jobs.models import Attempt, Job, Pause, Queue
from notifications import previews
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule, Report
from notifications.overrides import Overrides
from tests.factories import DAY, alice, make_booking, make_job, make_payment

pytestmark = pytest.mark.django_db
START = datetime(2032, 7, 5, 15, 0, tzinfo=UTC)  # 17:00 in Berlin
STYLES = {"en": ("2032-07-05 17:00", "2032-07-05"), "de": ("05.07.2032 17:00", "05.07.2032")}
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mär|Mai|Okt|Dez"
OTHERS = {  # how else Django, a f-string or a library would write them
    "en": rf"[ap]\.m\.|\b(noon|midnight)\b|(?<!, )\b({MONTHS})[a-z]*\.? \d+, 20\d\d|\d/\d+/20\d\d|\b\d\d\.\d\d\.20\d\d",
    "de": rf"[ap]\.m\.|\b\d+\. ({MONTHS})\w*\.? 20\d\d|\d/\d+/20\d\d|\b20\d\d-\d\d-\d\d\b",
}
SHOWN = (Booking, Customer, Payment, Job, Queue)  # a delivery's page has the message, which is in the customer's words


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def rows() -> None:
    customer = alice()
    make_booking(customer, starts=START, external_id="B-1")
    make_payment(customer, due=START.date())
    Delivery.objects.update(state="in_doubt", doubts=1, intent_at=START, sent_at=START)
    for state in ("scheduled", "running", "failed"):
        job = make_job(state, due=DAY, reason="Flaky: broken" if state == "failed" else "")
        Attempt.objects.create(job=job, number=1, outcome="errored", started_at=START)
    Queue.objects.get_or_create(name="default")
    Pause.objects.create(kind="queue", name="default", by="olga", reason="x", until=START)
    once = ClockedSchedule.objects.create(clocked_time=START)
    PeriodicTask.objects.create(name="once", task="probe.ok", clocked=once, one_off=True)
    told: dict[str, Any] = {"first_day": START.date(), "kind": "day", "zone": "Europe/Berlin", "language": "en"}
    Report.objects.create(job_id=make_job("succeeded").pk, **told)


def words(client: Client, path: str, language: str) -> str:
    """What a person reads of the page."""
    answer = client.get(path, headers={"accept-language": language})
    assert answer.status_code == 200, path
    html = re.sub(r"(?s)<(script|style|option|head)\b.*?</\1>", " ", answer.content.decode())
    return " ".join(strip_tags(html).split())


def paths() -> list[str]:
    named = ["index", "notifications_delivery_doubts", "jobs_job_errors", "notifications_booking_day"]
    found = [reverse(f"admin:{name}") for name in named]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        if model in SHOWN:
            rows = model._default_manager.values_list("pk", flat=True)
            found += [reverse(f"{name}_change", args=[pk]) for pk in rows]
    return found


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["en", "de"])
@override_settings(TIME_ZONE="Europe/Berlin")
def test_no_page_has_a_style_of_its_own(root: Client, language: str) -> None:
    for path in paths():
        other = re.search(f".{{0,40}}({OTHERS[language]})", words(root, path, language))
        assert not other, f"{path}: {other.group()}"


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["en", "de"])
@override_settings(TIME_ZONE="Europe/Berlin")
def test_a_moment_is_written_alike_wherever_it_stands(root: Client, language: str) -> None:
    moment, day = STYLES[language]
    booking, payment, failed = Booking.objects.get(), Payment.objects.get(), Job.objects.get(state="failed")
    for name, args in (
        ("notifications_booking_changelist", []),
        ("notifications_booking_change", [booking.pk]),
        ("notifications_delivery_changelist", []),
        ("notifications_delivery_doubts", []),
        ("jobs_queue_changelist", []),
        ("jobs_queue_change", ["default"]),
        ("jobs_job_change", [failed.pk]),
        ("django_celery_beat_periodictask_changelist", []),
    ):
        assert moment in words(root, reverse(f"admin:{name}", args=args), language), name
    with translation.override(language):
        assert str(booking) == f"Haircut, {moment} Europe/Berlin"
        assert str(payment).endswith(day) and day in str(Report.objects.get())
    assert day in words(root, f"{reverse('admin:notifications_booking_day')}?day=2032-07-05", language)


def test_a_list_names_the_zone_that_is_not_the_readers(root: Client) -> None:
    make_booking(alice(), starts=START)
    listed = reverse("admin:notifications_booking_changelist")
    assert "2032-07-05 17:00 Berlin" in words(root, listed, "en")
    with timezone.override("Europe/Berlin"):
        told = words(root, listed, "en")
    assert "2032-07-05 17:00" in told and "17:00 Berlin" not in told


def test_a_preview_says_when_by_ones_clocks() -> None:
    make_booking(alice(), starts=START)
    rule = ReminderRule.objects.get(name__startswith="1 hour")
    Delivery.objects.all().delete()
    with timezone.override("Europe/Berlin"), translation.override("de"):
        assert previews.foresee(rule, Overrides([])).examples[0].endswith(", 05.07.2032 16:00 CEST")


def test_a_day_that_was_not_read_yet_has_a_name_too() -> None:
    """As it was given, before the database made a date of it."""
    assert str(Payment(subject="Haircut", due_on="2032-07-05")) == "Haircut, due 2032-07-05"
    assert str(Payment(subject="Haircut", due_on=date(2032, 7, 5))) == "Haircut, due 2032-07-05"
