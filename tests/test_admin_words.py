"""What the pages of the admin say: in the reader's language, by his clocks, and only what is so."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone, translation
from django_celery_results.models import GroupResult

from jobs.admin.verbs import ordering
from jobs.models import JobEvent, Pause, Queue, QueueWorker
from notifications import consent
from notifications.models import ConsentEvent, ReminderRule
from tests.factories import DAY, alice, make_booking, make_job
from tests.jobs.test_scopes import client_of, person

pytestmark = pytest.mark.django_db
GERMAN = {"headers": {"accept-language": "de"}}


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def page(client: Client, path: str, **said: Any) -> str:
    answer = client.get(path, **said)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_jobs_story_is_told_in_the_readers_words(root: Client) -> None:
    job = make_job("failed")
    JobEvent.objects.create(job=job, by="olga", verb="retry", before="failed", outcome="done")
    told = page(root, reverse("admin:jobs_job_change", args=[job.pk]), **GERMAN)
    assert "olga verlangte: noch einmal ausführen" in told and "gescheitert → erledigt" in told


def test_an_order_says_its_filter_in_words_and_by_ones_clocks(root: Client) -> None:
    make_job(due=DAY)
    asked = {"state__exact": "scheduled", "run_at_from_0": "2026-07-01", "run_at_from_1": "08:00"}
    with override_settings(TIME_ZONE="Europe/Berlin"):
        told = page(root, ordering("cancel", asked), **GERMAN)
    assert '<strong class="break-words">vorgemerkt</strong>' in told
    assert "01.07.2026 08:00" in told and "UTC" not in told


def test_the_day_counts_bookings_in_the_readers_language(root: Client) -> None:
    booking = make_booking(alice())
    told = page(root, f"{reverse('admin:notifications_booking_day')}?day={booking.wall_date}", **GERMAN)
    assert "1 Buchung " in told and "booking" not in told.partition("<main")[2].partition("1 Buchung")[0].lower()[-40:]


def test_the_end_of_a_pause_is_told_by_ones_clocks(root: Client) -> None:
    Queue.objects.create(name="default")
    until = (timezone.now() + DAY).replace(hour=20, minute=0)  # the next morning in Tokyo
    Pause.objects.create(kind="queue", name="default", by="olga", reason="x", until=until)
    with timezone.override("Asia/Tokyo"), translation.override("en"):
        told = root.get(reverse("admin:jobs_queue_changelist")).content.decode()
    assert f"{until + DAY:%Y-%m-%d} 05:00" in told


def test_what_a_customer_said_has_the_time_of_ones_clocks() -> None:
    consent.record(alice(), "email", granted=True, source="form", actor="olga", evidence="at the desk")
    event = ConsentEvent.objects.get()
    with timezone.override("Asia/Tokyo"), translation.override("de"):
        assert f"{timezone.localtime(event.at):%d.%m.%Y %H:%M} E-Mail: ja" in str(event)


def test_a_delivery_is_called_in_the_readers_language() -> None:
    delivery = make_booking(alice()).deliveries.select_related("rule").first()
    with translation.override("de"):
        assert str(delivery).endswith("per E-Mail: geplant")


def test_who_may_only_look_at_a_rule_reads_words() -> None:
    rule = ReminderRule.objects.get(name__startswith="24 hours")
    told = page(client_of(person("Viewer")), reverse("admin:notifications_reminderrule_change", args=[rule.pk]))
    assert "24 hours before" in told
    assert "-1 day" not in told and '"email"' not in told


def test_an_empty_list_says_whether_it_is_empty_or_filtered(root: Client) -> None:
    listed = reverse("admin:notifications_directmessage_changelist")
    empty, filtered = page(root, listed), page(root, f"{listed}?state__exact=sent")
    assert "Nothing here yet" in empty and "Reset filters" not in empty and "Show all" not in empty
    assert "Nothing matches" in filtered and "Reset filters" in filtered
    assert "Make the first one" in page(root, reverse("admin:notifications_booking_changelist"))


def test_one_job_is_one_job(root: Client) -> None:
    make_job("failed")
    told = page(root, f"{reverse('admin:jobs_job_changelist')}?state__exact=failed")
    assert "<span>1 job</span>" in told and "Show all" in told
    assert "Show all" not in page(root, reverse("admin:jobs_job_changelist"))


def test_a_group_is_shown_with_each_of_its_fields_once(root: Client) -> None:
    row = GroupResult.objects.create(group_id="some", result="[]")
    told = page(root, reverse("admin:django_celery_results_groupresult_change", args=[row.pk]))
    assert "Traceback" not in told and "Named arguments" not in told


def test_a_workers_memory_has_a_unit(root: Client) -> None:
    seen: Any = {"scalable": True, "seen_at": timezone.now(), "memory": 124_649_472}
    row = QueueWorker.objects.create(queue="default", worker="w@h", processes=1, **seen)
    assert "118.9\xa0MB" in page(root, reverse("admin:jobs_queueworker_change", args=[row.pk]))


def test_masked_columns_have_the_names_of_what_they_mask() -> None:
    told = page(client_of(person("Viewer")), reverse("admin:notifications_outboxmessage_changelist"), **GERMAN)
    assert "Beginning" not in told
