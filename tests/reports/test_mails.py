"""Reports by mail: to whom they go, what is in them, and who may order one."""

import io
import json
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pypdf
import pytest
from django.contrib.auth.models import User
from django.core import mail as outbox
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs import ledger
from jobs.durable import PayloadError
from jobs.files import StoredFile
from jobs.models import Job, JobScope
from notifications.models import Customer, Report, ReportMail
from notifications.reports import figures, mails, periods
from tests.jobs.test_schedules import beat
from tests.reports.mailing import olga as olga, order, run_all, run_due, staff, states

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_summary_is_in_the_mail_and_the_pdf_beside_it(worker: Any, olga: User, customer: Customer) -> None:
    job = order(olga, language="de")
    run_all(worker)
    (sent,) = outbox.outbox
    made: EmailMessage = sent.message()
    report, mail = Report.objects.get(), ReportMail.objects.get()
    assert sent.to == ["olga@staff.example"] and "Woche" in sent.subject
    assert made["Message-ID"] == f"<{mail.pk}@localhost>"
    link = reverse("admin:notifications_report_change", args=[report.pk])
    html = str(sent.alternatives[0][0])  # type: ignore[attr-defined]
    for text in (str(sent.body), html):
        assert link in text
        assert "Gescheiterte Aufträge" in text
    assert '<html lang="de">' in html
    name, content, kind = sent.attachments[0]
    assert (name, kind) == (f"report-week-{report.first_day}-de.pdf", "application/pdf")
    assert isinstance(content, bytes) and len(pypdf.PdfReader(io.BytesIO(content)).pages) >= 2
    job.refresh_from_db()
    assert (job.state, job.result) == ("succeeded", {"mails": 1, "left_out": 0})
    assert (mail.state, Job.objects.get(pk=mail.pk).result) == ("sent", "sent") and mail.sent_at is not None


def test_what_is_kept_and_sent_around_holds_no_address(worker: Any, olga: User) -> None:
    order(olga)
    run_all(worker)
    told = json.dumps([[one.args, one.kwargs, one.result, one.log, one.reason] for one in Job.objects.all()])
    assert "olga" not in told and "staff.example" not in told


def test_it_is_about_the_last_whole_week_when_it_was_due(worker: Any, olga: User) -> None:
    job = order(olga)
    due = datetime(2025, 11, 12, 6, 0, tzinfo=BERLIN)  # made up for, long after
    Job.objects.filter(pk=job.pk).update(run_at=due)
    run_due(worker)
    assert Report.objects.get().first_day == periods.last_whole("week", due, BERLIN).first
    assert states() == {"olga": "sent"}


def test_however_often_it_comes_round_everybody_gets_it_once(worker: Any, olga: User) -> None:
    for _ in range(3):
        order(olga)
    run_all(worker)
    order(olga)
    run_all(worker)
    late = staff("late")
    order(olga, late)
    run_all(worker)
    assert sorted(str(one.to[0]) for one in outbox.outbox) == ["late@staff.example", "olga@staff.example"]
    assert Report.objects.count() == 1


def test_only_staff_who_may_see_it_get_it(worker: Any) -> None:
    people = [
        staff("operator"),
        staff("viewer", "Viewer"),
        staff("nobody", "none"),
        staff("gone", is_active=False),
        staff("outside", is_staff=False),
        staff("of_a"),
        staff("no_address", email=""),
    ]
    JobScope.objects.create(user=people[5], tenants=["a"])
    job = order(*people)
    run_all(worker)
    assert states() == {"operator": "sent", "viewer": "sent", "no_address": "skipped"}
    job.refresh_from_db()
    assert job.result == {"mails": 3, "left_out": 4}


def test_a_tenants_report_goes_to_those_who_see_the_tenant(worker: Any) -> None:
    of_a, of_b = staff("of_a"), staff("of_b")
    JobScope.objects.create(user=of_a, tenants=["a"])
    JobScope.objects.create(user=of_b, tenants=["b"])
    order(of_a, of_b, tenant="a")
    run_all(worker)
    assert states() == {"of_a": "sent"}


def test_who_lost_the_permission_before_it_goes_does_not_get_it(worker: Any, olga: User) -> None:
    order(olga)
    for _ in range(10):
        Job.objects.filter(state="scheduled").update(run_at=timezone.now())
        if ReportMail.objects.exists():
            break
        worker.run_due()
    olga.groups.clear()
    run_all(worker)
    assert states() == {"olga": "skipped"} and not outbox.outbox


def test_a_pdf_that_was_deleted_meanwhile_is_drawn_again(
    worker: Any, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = mails.written

    def late(made: ReportMail) -> Any:
        StoredFile.objects.all().delete()
        return send(ReportMail.objects.select_related("report__pdf", "user").get(pk=made.pk))

    monkeypatch.setattr(mails, "written", late)
    order(olga)
    run_all(worker)
    assert outbox.outbox[0].attachments[0][1].startswith(b"%PDF")


def test_a_very_large_pdf_is_only_linked(worker: Any, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "LARGEST", 10)
    order(olga)
    run_all(worker)
    assert not outbox.outbox[0].attachments and "/report/" in str(outbox.outbox[0].body)


def test_without_a_report_it_says_whose_fault_it_is(worker: Any, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(figures, "count", fail)
    job = order(olga)
    run_all(worker)
    job.refresh_from_db()
    assert job.state == "failed" and f"see the job {Report.objects.get().job_id}" in job.reason
    assert not ReportMail.objects.exists()
    monkeypatch.undo()
    ledger.retry([Report.objects.get().job_id])
    run_all(worker)
    ledger.retry([job.pk])
    run_all(worker)
    assert len(outbox.outbox) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "year"}, {"language": "fr"}, {"users": ["olga@staff.example"]}],
    ids=lambda wrong: str(*wrong),
)
def test_arguments_are_checked_when_it_is_asked_for(olga: User, wrong: dict[str, Any]) -> None:
    with pytest.raises(PayloadError):
        order(olga, **wrong)


@pytest.mark.parametrize("number", [0, 201])
def test_nobody_and_everybody_are_refused(worker: Any, olga: User, number: int) -> None:
    job = order(olga, users=list(range(number)))
    run_all(worker)
    job.refresh_from_db()
    assert job.state == "failed" and "Name the ids of one to 200" in job.reason
    assert not Report.objects.exists()


def test_a_zone_that_there_is_not_fails_with_its_name(worker: Any, olga: User) -> None:
    job = order(olga, zone="Europe/Atlantis")
    run_all(worker)
    job.refresh_from_db()
    assert job.state == "failed" and "Unknown time zone 'Europe/Atlantis'" in job.reason


def test_a_schedule_of_the_admin_runs_it(worker: Any, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """As beat does it: the occurrence is one job, and the period is the last whole one before it."""
    monkeypatch.setattr("django_celery_beat.schedulers.close_old_connections", lambda: None)
    due = (timezone.now() - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    said = {"kind": "day", "zone": "Europe/Berlin", "language": "en", "users": [olga.pk]}
    daily = CrontabSchedule.objects.create(minute="0", hour=str(due.hour), timezone="UTC")
    task = PeriodicTask.objects.create(
        name="report", task="notifications.mail_report", crontab=daily, kwargs=json.dumps(said)
    )
    PeriodicTask.objects.filter(pk=task.pk).update(last_run_at=due - timedelta(hours=1))
    for _ in range(2):
        beat()
    job = Job.objects.get(task="notifications.mail_report")
    assert job.run_at == due
    run_due(worker)
    assert states() == {"olga": "sent"}
    assert Report.objects.get().first_day == periods.last_whole("day", due, BERLIN).first


def test_the_form_of_schedules_offers_it(client: Any) -> None:
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(reverse("admin:django_celery_beat_periodictask_add")).content.decode()
    assert '<option value="notifications.mail_report">' in page
