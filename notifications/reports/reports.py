"""Reports that are kept: `ask` for one, `write_report` writes it. Used by the admin and by `mails`.

The promise: whoever asks for the same period, zone, language and tenant gets the same report, and it is written once.
A period that is over is counted once; one that still runs is counted anew each time. Whoever asks has the permission
and sees the tenant; a report of all tenants is for those who see everything.
"""

import io
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from celery import shared_task
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs import ledger
from jobs.durable import AWAY, Durable, Permanent, Stop
from jobs.ids import new_id
from jobs.library import storage
from jobs.library.people import Person
from jobs.library.storage import Whose
from jobs.scopes import Scope
from notifications import timing
from notifications.models import Report
from notifications.reports import figures, periods
from notifications.reports.figures import Figures
from notifications.reports.periods import Kind, Period

if TYPE_CHECKING:
    from notifications.reports.documents import Document

Language = Literal["en", "de"]  # as settings.LANGUAGES
ASK, VIEW = "notifications.add_report", "notifications.view_report"
STEPS = ("messages", "lateness", "bookings", "effect", "payments", "jobs", "HTML", "PDF")
TYPES = {"html": "text/html; charset=utf-8", "pdf": "application/pdf"}


def ask(kind: Kind, on: date, zone: str, language: Language, tenant: str, person: Person) -> Report:
    """The report of the period with the day `on`; what is not written yet is being written. `tenant` empty: of all.

    Raises PermissionDenied, and ValueError for a zone that there is not or a period that has not begun.
    """
    if not person.may(ASK):
        raise PermissionDenied(f"Asking for a report needs the permission {ASK}.")
    if not covers(person.scope, tenant):
        raise PermissionDenied(_("This report is about more than you may see. Ask for one of a tenant of yours."))
    return obtain(periods.containing(kind, on, timing.zone(zone)), language, tenant, by=person.name)


def covers(scope: Scope, tenant: str) -> bool:
    """Whether all that the report counts is within the scope: jobs of all queues, and of all tenants if it is of all.

    The tenant "" is no tenant here: its report is of all of them.
    """
    if tenant:
        return scope.owns_tenant(tenant)
    return scope.limits is None or any(not queues and not tenants for queues, tenants in scope.limits)


def of_scope(scope: Scope) -> QuerySet[Report]:
    """The reports that one may see."""
    if covers(scope, ""):
        return Report.objects.all()
    mine = [one for queues, tenants in scope.limits or () if not queues for one in tenants]
    return Report.objects.filter(tenant__in=[one for one in mine if one])


def period_of(report: Report) -> Period:
    return periods.containing(report.kind, report.first_day, timing.zone(report.zone))  # type: ignore[arg-type]


def is_whole(report: Report) -> bool:
    """Its files are there and its figures final."""
    files = report.html_id is not None and report.pdf_id is not None
    return files and report.counted_at is not None and report.counted_at >= period_of(report).ends


def is_being_written(report: Report) -> bool:
    """Its job is not over."""
    return Report.objects.filter(ledger.is_open(OuterRef("job_id")), pk=report.pk).exists()


def obtain(period: Period, language: str, tenant: str, *, by: str) -> Report:
    """The one report of these parameters, with a job that writes it where that is needed. Asks for no permission."""
    if period.begins > timezone.now():
        raise ValueError(_("This time has not begun yet: there is nothing to report."))
    same = {
        "kind": period.kind,
        "first_day": period.first,
        "zone": period.zone.key,
        "language": language,
        "tenant": tenant,
    }
    mine = Report(**same, by=by[:150], job_id=new_id())
    with transaction.atomic():
        Report.objects.bulk_create([mine], ignore_conflicts=True)
        report = Report.objects.get(**same)
        if report.pk == mine.pk or _taken(report, period, by):
            write_report.apply_async((report.pk,), task_id=report.job_id, tenant=tenant)
    return report


def _taken(report: Report, period: Period, by: str) -> bool:
    """Give it to a new job: unless one is at it, or it is whole. Of two who ask at once, one gets it.

    No join: a joined UPDATE would look at the row as it was before it waited for the other one.
    """
    whole = Q(_there("html_id"), _there("pdf_id"), counted_at__isnull=False, counted_at__gte=period.ends)
    idle = Report.objects.filter(~whole, ~Q(ledger.is_open(OuterRef("job_id"))), pk=report.pk, job_id=report.job_id)
    new = new_id()
    if not idle.update(job_id=new, by=by[:150], asked_at=Now()):
        return False
    report.refresh_from_db()
    return True


def _there(pk: str) -> Exists:
    """The file is kept, and not about to be deleted."""
    files: Any = Report._meta.get_field("html").related_model
    kept = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
    return Exists(files._default_manager.filter(kept, pk=OuterRef(pk)))


@shared_task(
    base=Durable,
    bind=True,
    name="notifications.write_report",
    internal=True,
    autoretry_for=(OSError, *AWAY),
    max_retries=5,
    retry_backoff=5,
    time_limit=3600,
    soft_time_limit=3500,
)
def write_report(self: Durable, report_id: UUID) -> dict[str, str]:
    """Returns the ids of its files."""
    report = Report.objects.select_related("html", "pdf").annotate(now=Now()).filter(pk=report_id).first()
    if report is None:
        raise Permanent(f"There is no report {report_id}: ask for one.")
    job = self.running.job
    if report.job_id != job.pk:
        raise Permanent(f"The report is written by the job {report.job_id} now.")
    if report.pdf is None or report.pdf.job_id != job.pk:  # else an attempt before this one has written it
        _write(self, report, report.now)
        report.refresh_from_db()
    return {"html": str(report.html_id), "pdf": str(report.pdf_id)}


def _write(task: Durable, report: Report, now: datetime) -> None:
    def look_around(what: str) -> None:
        task.running.check_cancelled()
        task.running.progress(STEPS.index(what), len(STEPS), what)

    document = _counted(report, now, look_around)
    made = {}
    try:
        for what, bytes_of in (("html", document.html), ("pdf", document.pdf)):
            look_around(what.upper())
            whose = Whose(tenant=report.tenant, permission=VIEW, job_id=task.running.job.pk)
            made[what] = storage.keep(io.BytesIO(bytes_of()), f"{name_of(report)}.{what}", TYPES[what], whose)
        held = Report.objects.filter(ledger.holds(task.running.job), pk=report.pk, job_id=task.running.job.pk)
        told: dict[str, Any] = {"figures": document.figures.model_dump(mode="json"), "counted_at": document.counted_at}
        if not held.update(**told, **made):
            raise Stop("the job was cancelled, or given to another worker")
    except BaseException:
        storage.remove(made.values())
        raise
    task.running.progress(len(STEPS), len(STEPS))


def _counted(report: Report, now: datetime, look_around: figures.LookAround) -> "Document":
    """With the final figures if there are any: its files may have been deleted since, the figures never are."""
    period = period_of(report)
    if report.figures is not None and report.counted_at is not None and report.counted_at >= period.ends:
        found, counted_at = Figures.model_validate(report.figures), report.counted_at
    else:
        found, counted_at = figures.count(period, report.tenant, look_around), now
    return _document(found, report, counted_at)


def document_of(report: Report) -> "Document":
    """As it was written. Raises ValueError for one that is not written yet."""
    if report.figures is None or report.counted_at is None:
        raise ValueError("The report is not written yet.")
    found = Figures.model_validate(report.figures)
    return _document(found, report, report.counted_at)


def _document(found: Figures, report: Report, counted_at: datetime) -> "Document":
    from notifications.reports.documents import Document  # with ReportLab 200 ms: few processes draw

    return Document(found, period_of(report), report.language, report.tenant, counted_at)


def name_of(report: Report) -> str:
    """Of its files, for people."""
    return "-".join(filter(None, ["report", report.kind, str(report.first_day), report.language, report.tenant]))
