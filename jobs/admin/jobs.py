"""The operator's screens for jobs: the list, the page of one, and what failed alike.

Nothing here changes a job: an action leads to an order (admin/orders.py), which shows what it would do and asks why.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _, gettext_lazy
from django_celery_results.models import TaskResult
from unfold.decorators import display

from config.theme.pages import ModelAdmin
from jobs import arguments, bulk_orders, errors, listing, neighbours, scopes
from jobs.admin import filters, paging, story
from jobs.admin.scoped import Scoped, sees_all
from jobs.admin.verbs import Verbs, ordering
from jobs.models import Job, Order

Verb = Order.Verb
LOOKS = {"succeeded": "success", "failed": "danger", "running": "info", "cancelled": "warning", "expired": "warning"}
LOOKS |= {"scheduled": "plain", "queued": "plain"}
HEAVY = ("args", "kwargs", "result", "log", "checkpoint", "progress")  # not for the list
MASKED = ("arguments", "rest", "outcome", "saved")


class Columns:
    """What the list and the page say of a job."""

    @admin.display(description=gettext_lazy("task"))
    def name(self, job: Job) -> str:
        return job.name

    @display(description=gettext_lazy("state"), label=LOOKS)  # type: ignore[untyped-decorator]
    def look(self, job: Job) -> tuple[str, str]:
        waits = job.state == Job.State.SCHEDULED and job.failures
        return job.state, _("tried again") if waits else job.get_state_display()

    @admin.display(description=gettext_lazy("due"))
    def due(self, job: Job) -> Any:
        return job.run_at

    @admin.display(description=gettext_lazy("lateness"))
    def lateness(self, job: Job) -> str:
        late = story.lateness(job, timezone.now())
        return "-" if late is None else str(timedelta(seconds=round(late.total_seconds())))

    @admin.display(description=gettext_lazy("reason"))
    def why(self, job: Job) -> str:
        return neighbours.shown(job.reason)[:300] or "-"

    @admin.display(description=gettext_lazy("attempts"))
    def tries(self, job: Job) -> str:
        most = job.max_attempts or "∞"
        return _("%(number)s, of which failed: %(failed)s of %(most)s") % {
            "number": job.token,
            "failed": job.failures,
            "most": most,
        }


@admin.register(Job)
class JobAdmin(Scoped, Verbs, Columns, ModelAdmin[Job]):
    list_display = ("name", "look", "queue", "due", "lateness", "failures", "why")
    list_per_page = 50
    list_filter = filters.LIST
    list_filter_submit = True
    sortable_by = ()
    search_help_text = gettext_lazy(
        "A job's id or unique key, a tag such as booking:17, a booking's number, a customer's whole address or name"
    )
    search_fields = ("unique_key",)  # shows the box; the selection searches
    ordering = ("-id",)
    actions = ("cancel", "retry", "run_now", "postpone", "reprioritise")
    show_full_result_count = False  # a COUNT over the whole table for each page
    fieldsets = (
        (
            None,
            {
                "fields": (
                    *("id", "name", "queue", "priority", "tenant", "correlation_id", "unique_key"),
                    *("run_at", "lateness", "useful_until", "tries", "worker", "why", "signature"),
                )
            },
        ),
        (gettext_lazy("Arguments"), {"fields": MASKED}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return paging.Keyset

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Nothing but the filters: ?kwargs__icontains=... would tell letter by letter what is masked."""
        return lookup in filters.KNOWN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        rows: QuerySet[Job] = super().get_queryset(request)
        return rows.defer(*HEAVY) if request.resolver_match and not request.resolver_match.kwargs else rows

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return queryset, False

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("errors/", view(self.errors), name="jobs_job_errors"),
            path("<uuid:pk>/live/", view(self.live), name="jobs_job_live"),
            *super().get_urls(),
        ]

    # --- The page of one ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        job = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if job is not None and self.has_view_permission(request, job):
            shown = {**_told(job), "links": _links(request, job), "verbs": self._verbs(request, job)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def live(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The part of the page that changes, asked for every two seconds while the job runs."""
        job = self.get_object(request, str(pk))
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        answer = TemplateResponse(request, "admin/jobs/job/live.html", _told(job))
        if not _moves(job):
            answer["X-Over"] = "yes"
        return answer

    def get_readonly_fields(self, request: HttpRequest, obj: Job | None = None) -> Any:
        return [name for _title, group in self.fieldsets for name in group["fields"]]

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        if request.user.has_perm("jobs.reveal_job"):
            plain = tuple(f"plain_{name}" for name in MASKED)
            return (self.fieldsets[0], (self.fieldsets[1][0], {"fields": plain}))
        return self.fieldsets

    def _verbs(self, request: HttpRequest, job: Job) -> list[tuple[str, str]]:
        """What may be done with it as it is: (title, address)."""
        reach = {verb: (*states, Job.State.SUCCEEDED) if verb == Verb.RETRY else states for verb, states in _REACH}
        return [
            (str(verb.label), ordering(verb, {"ids": job.pk}))
            for verb, states in reach.items()
            if job.state in states and request.user.has_perm(bulk_orders.PERMISSIONS[verb])
        ]

    # --- What failed alike ---

    def errors(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        groups = errors.groups(scopes.of(request.user).rows(Job.objects.all()))
        verbs = [verb for verb in (Verb.RETRY, Verb.CANCEL) if request.user.has_perm(bulk_orders.PERMISSIONS[verb])]
        found = reverse("admin:jobs_job_changelist")
        rows = [
            (group, f"{found}?{urlencode(_alike(group))}", [(v.label, ordering(v, _alike(group))) for v in verbs[:1]])
            for group in groups.found
        ]
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": _("Errors"), "rows": rows}
        context |= {"most": errors.MOST, "newest": groups.more and listing.MOST}
        return TemplateResponse(request, "admin/jobs/job/errors.html", context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # jobs are made by calling a durable task

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False  # the ledger keeps its history


_REACH = bulk_orders.REACH.items()
CONTENT = {
    "arguments": (gettext_lazy("arguments"), lambda job: {"args": job.args, "kwargs": job.kwargs}),
    "rest": (gettext_lazy("options"), lambda job: job.options),
    "outcome": (gettext_lazy("result"), lambda job: job.result),
    "saved": (gettext_lazy("checkpoint"), lambda job: job.checkpoint),
}


def _content(title: Any, read: Any, *, reveal: bool) -> Any:
    @admin.display(description=title)
    def column(self: Any, job: Job) -> Any:
        return arguments.shown(read(job), reveal=reveal)

    return column


for _name, (_title, _read) in CONTENT.items():
    setattr(JobAdmin, _name, _content(_title, _read, reveal=False))
    setattr(JobAdmin, f"plain_{_name}", _content(_title, _read, reveal=True))


def _moves(job: Job) -> bool:
    return job.state in (Job.State.QUEUED, Job.State.RUNNING)


def _told(job: Job) -> dict[str, Any]:
    progress = job.progress or {}
    total = progress.get("total") or 0
    return {
        "job": job,
        "look": LOOKS.get(job.state, ""),
        "moves": _moves(job),
        "entries": story.of(job),
        "progress": progress and {**progress, "note": neighbours.shown(str(progress.get("note") or ""))},
        "percent": round(100 * progress.get("done", 0) / total) if total else 0,
        "lines": [neighbours.shown(line) for line in job.log or []],
        "why": neighbours.shown(job.reason),
    }


def _links(request: HttpRequest, job: Job) -> list[tuple[str, str]]:
    found = neighbours.links(job)
    result = TaskResult.objects.filter(task_id=str(job.pk)).values_list("pk", flat=True).first()
    if result and sees_all(request):
        found.append(("TaskResult", reverse("admin:django_celery_results_taskresult_change", args=[result])))
    if parent := (job.options or {}).get("parent_id"):
        found.append((_("The job that called it"), f"{reverse('admin:jobs_job_changelist')}?q={parent}"))
    if settings.FLOWER_URL:
        found.append((_("In Flower"), f"{settings.FLOWER_URL.rstrip('/')}/task/{job.pk}"))
    return found


def _alike(group: errors.Group) -> dict[str, str]:
    return {"state__exact": "failed", "signature": group.signature}
