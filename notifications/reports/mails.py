"""Reports by mail: `mail_report` is what a schedule runs, `send_report` sends to one user.

The promise: a user gets the report of a period once, however often its schedule comes round and whatever dies. The
intent is written before the mail server is called, and no second attempt follows an intent: if nobody knows whether
the server took it, the mail is held in doubt. Only staff who may see the report at that moment get it.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from jobs import ledger
from jobs.durable import AWAY, Durable, Permanent, Snooze, Stop, insist
from jobs.library import people, storage
from notifications import timing
from notifications.channels import CHANNELS
from notifications.channels.base import Attachment, Busy, Message, Refused, Unknown
from notifications.guarantees import QUARANTINE
from notifications.models import Channel, Report, ReportMail
from notifications.reports import periods, reports
from notifications.reports.periods import Kind
from notifications.reports.reports import VIEW, Language

if TYPE_CHECKING:
    from notifications.reports.documents import Document

State = ReportMail.State
MOST = 200  # users of a schedule
LARGEST = 5 * 1024 * 1024  # bytes of a PDF that is attached; a larger one is only linked
PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)  # between two looks whether it is written


@shared_task(base=Durable, bind=True, name="notifications.mail_report", internal=True)
def mail_report(
    self: Durable,
    kind: Kind,
    zone: str,
    language: Language,
    users: list[int],
    tenant: str = "",
) -> dict[str, int]:
    """Have the report of the last whole day, week or month written, and a mail planned for each of the users.

    The last one when this was due: late runs and later attempts are about the same period. Returns how many mails
    there are now, and how many of the users may not have one.
    """
    if not 0 < len(users) <= MOST:
        raise Permanent(f"It goes to {len(users)} users. Name the ids of one to {MOST}.")
    report = _report(self, kind, zone, language, tenant)
    able = [user for user in get_user_model()._default_manager.filter(pk__in=users) if may_have(user, tenant)]
    with transaction.atomic():
        mails = [ReportMail(report=report, user=user) for user in able]
        ReportMail.objects.bulk_create(mails, ignore_conflicts=True)
        planned = ReportMail.objects.filter(report=report, user__in=able)
        for mail in planned.filter(state=State.PLANNED):  # the id is the job's: the second call changes nothing
            send_report.apply_async((mail.pk,), task_id=mail.pk, tenant=tenant)
        return {"mails": planned.count(), "left_out": len(set(users)) - len(able)}


def _report(task: Durable, kind: Kind, zone: str, language: str, tenant: str) -> Report:
    """Written. Raises Snooze until it is, and Permanent when the job that writes it has ended without it."""
    running = task.running
    if running.saved is None:
        period = periods.last_whole(kind, running.job.run_at or timezone.now(), timing.zone(zone))
        report = reports.obtain(period, language, tenant, by="a schedule")
        running.checkpoint(str(report.pk))
    else:
        report = Report.objects.get(pk=running.saved)
    if reports.is_whole(report):
        return report
    if not reports.is_being_written(report):
        report.refresh_from_db()
        if reports.is_whole(report):
            return report
        raise Permanent(f"The report was not written: see the job {report.job_id}, then run this one again.")
    raise Snooze(timezone.now() + min(PAUSE * running.job.token, LONGEST_PAUSE))


def may_have(user: AbstractBaseUser, tenant: str) -> bool:
    """Staff who may see reports, and all that this one counts."""
    person = people.of(user)
    staff = user.is_active and getattr(user, "is_staff", False)
    return bool(staff) and person.may(VIEW) and reports.covers(person.scope, tenant)


@shared_task(
    base=Durable,
    bind=True,
    name="notifications.send_report",
    internal=True,
    queue="messages",
    autoretry_for=(Busy, *AWAY),
    throws=(Busy, Refused, Unknown),
    max_retries=50,
    retry_backoff=5,
    retry_backoff_max=3600,
    soft_time_limit=60,
    time_limit=75,
)
def send_report(self: Durable, mail_id: UUID) -> str:
    """Send one mail, unless its user may not have it any more. Returns its state."""
    mail = ReportMail.objects.select_related("report__pdf", "user").filter(pk=mail_id).first()
    if mail is None:
        return "withdrawn"  # the user was deleted
    if mail.state == State.SENDING:
        # An attempt before this one wrote its intent and never came back. It is held: a report is not worth a second.
        _rows(mail, mail.token).update(state=State.IN_DOUBT, detail="the worker was lost while sending")
        mail.refresh_from_db()
    if mail.state != State.PLANNED:
        return mail.state
    if not may_have(mail.user, mail.report.tenant):
        return _skipped(mail, "the user may not see this report any more")
    if not mail.user.email:
        return _skipped(mail, "the user has no address")
    return _sent(self, mail)


def _rows(mail: ReportMail, token: int | None) -> QuerySet[ReportMail]:
    """With the intent of that attempt, which knows the answer even if it was given up for dead meanwhile."""
    return ReportMail.objects.filter(pk=mail.pk, token=token, state__in=[State.SENDING, State.IN_DOUBT])


def _skipped(mail: ReportMail, why: str) -> str:
    ReportMail.objects.filter(pk=mail.pk, state=State.PLANNED).update(state=State.SKIPPED, detail=why)
    mail.refresh_from_db()
    return mail.state


def _sent(task: Durable, mail: ReportMail) -> str:
    job, channel = task.running.job, CHANNELS[Channel.EMAIL]
    message = written(mail)
    try:
        channel.ready(message)
    except Busy as exc:
        raise _later(exc) from None
    _intend(mail, job)
    mine = _rows(mail, job.token)
    try:
        channel(message, idempotency_key=str(mail.pk))
    except Busy as exc:
        _take_back(mail, job, str(exc))
        raise _later(exc) from None
    except Refused as exc:
        refusal = str(exc)
        insist(lambda: mine.update(state=State.REFUSED, detail=refusal))
        raise
    except Exception as exc:
        why = str(exc) if isinstance(exc, Unknown) else type(exc).__name__  # its text may hold an address
        insist(lambda: mine.update(state=State.IN_DOUBT, detail=why))
        raise Unknown(why) from None
    insist(lambda: mine.update(state=State.SENT, sent_at=Now(), detail=""))
    return State.SENT


def _later(exc: Busy) -> Exception:
    return Snooze(timezone.now() + exc.retry_after) if exc.retry_after else exc


def _intend(mail: ReportMail, job: ledger.Job) -> None:
    """The fence: one UPDATE right before the server is called. Raises Stop when the job is another's."""
    asked = time.monotonic()
    planned = ReportMail.objects.filter(pk=mail.pk, state=State.PLANNED)
    user = get_user_model()._default_manager.filter(pk=OuterRef("user_id"), is_active=True, is_staff=True)
    wanted = planned.filter(Exists(user), ledger.holds(job, lasting=QUARANTINE))
    if not wanted.update(state=State.SENDING, token=job.token, intent_at=Now()):
        if not ReportMail.objects.filter(ledger.holds(job), pk=mail.pk).exists():
            raise Stop("the job was cancelled, or given to another worker")
        raise Busy("the user, or this worker's lease, changed at this very moment")
    if time.monotonic() - asked > QUARANTINE.total_seconds():  # a provider is called within it, or not at all
        _take_back(mail, job)
        raise Busy("this worker was stopped between the intent and the request")


def _take_back(mail: ReportMail, job: ledger.Job, why: str = "") -> None:
    """Certainly not sent. Whoever gave this attempt up for dead meanwhile has ended the job: then it stays in doubt."""
    mine = _rows(mail, job.token).filter(state=State.SENDING)
    insist(lambda: mine.update(state=State.PLANNED, detail=why))


def written(mail: ReportMail) -> Message:
    """The most important figures as text and HTML, in the language of the report; the PDF beside them."""
    report = mail.report
    document = reports.document_of(report)
    with translation.override(report.language):
        told = {
            "title": document.title,
            "about": document.about,
            "glance": document.glance(),
            "link": settings.PUBLIC_URL + reverse("admin:notifications_report_change", args=[report.pk]),
            "language": report.language,
        }
        subject = f"{document.title}: {document.period_name}"
        text, html = (render_to_string(f"reports/mail.{form}", told) for form in ("txt", "html"))
    return Message(to=mail.user.email, subject=subject, text=text, html=html, attachments=_pdf(report, document))


def _pdf(report: Report, document: "Document") -> tuple[Attachment, ...]:
    """As it is stored; drawn again, with the same bytes, if the clean-up was faster than the mail server."""
    if report.pdf is not None and report.pdf.size > LARGEST:
        return ()
    try:
        if report.pdf is None:
            raise storage.Missing
        with storage.read(report.pdf) as opened:
            content = bytes(opened.read())
    except storage.Missing:
        content = document.pdf()
    return (Attachment(f"{reports.name_of(report)}.pdf", "application/pdf", content),)
