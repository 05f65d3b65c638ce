"""Exports: those that there are, a form to ask for one, how far it is, and its file for whoever asked.

`jobs.library.exports` writes them. The promise: here one may what one may over the API; who has a scope sees
the exports that he asked for himself, since others' may be about more than he sees.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _, gettext_lazy
from unfold.contrib.filters.admin import DropdownFilter

from config.theme.pages import ModelAdmin, labelled
from config.theme.readonly import ReadOnly
from config.theme.tenancy import NotThere
from config.theme.verbs import Verb, VerbForm
from jobs import ledger, neighbours, orders, scopes
from jobs.admin.export_form import ExportForm, column_label, filter_label
from jobs.admin.handing import HandsOut, download
from jobs.admin.jobs import LOOKS
from jobs.admin.scoped import sees_all
from jobs.files import Export
from jobs.ids import parsed
from jobs.library import exports, people, sources
from jobs.library.sources import Source
from jobs.models import Job

ASK = "jobs.add_export"
FILTERS = frozenset({"source", "format__exact"})
RECEIPTS = {
    ledger.Cancelled.CANCELLED: gettext_lazy("Cancelled: it will not be written."),
    ledger.Cancelled.IN_FLIGHT: gettext_lazy("It is being written at this moment, and asked to stop."),
}


class ReasonForm(VerbForm):
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=300, help_text=gettext_lazy("kept with its job and in the log")
    )


def _cancel(export: Export, request: HttpRequest, *, reason: str) -> str:
    receipt = orders.cancel([export.pk], by=request.user.get_username(), reason=reason).get(export.pk)
    if receipt not in RECEIPTS:
        raise ValueError(_("It was over before."))
    return str(receipt)


def _open(export: Any) -> bool:
    return export.state in Job.UNFINISHED


CANCEL = Verb(
    "cancel",
    gettext_lazy("Cancel"),
    "jobs.cancel_job",
    _cancel,
    _open,
    ReasonForm,
    gettext_lazy("It is not written. Of one that is being written, nothing is kept."),
    grave=True,
    icon="block",
)


class SourceFilter(DropdownFilter):  # type: ignore[misc]  # untyped
    """By those that are registered: to ask the table which there are would read all of it."""

    title, parameter_name = gettext_lazy("source"), "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.name, title_of(one)) for one in sources.known()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Export]) -> QuerySet[Export]:
        return queryset.filter(source=self.value()) if self.value() else queryset


@admin.register(Export)
class ExportAdmin(NotThere, ReadOnly, HandsOut, ModelAdmin[Export]):
    verbs = (download("jobs.view_export"), CANCEL)
    list_display = ("asked_at", "of_what", "format", "stands", "rows", "by", "revealed", "finished_at")
    list_filter = (SourceFilter, "format")
    list_per_page = 50
    search_fields = ("pk",)  # shows the box; `get_search_results` searches
    search_help_text = gettext_lazy("The whole id of an export, or the name of whoever asked")
    ordering = ("-id",)
    sortable_by = ()
    fields = readonly_fields = (
        *("of_what", "format", "which_columns", "which_filters", "by", "revealed"),
        *("asked_at", "rows", "finished_at"),
    )
    change_form_template = "admin/jobs/export/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        state = Subquery(Job.objects.filter(pk=OuterRef("pk")).values("state"))
        rows = super().get_queryset(request).annotate(state=state)
        return rows if sees_all(request) else rows.filter(user=request.user.pk)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        if pk := parsed(search_term):
            return queryset.filter(pk=pk), False
        return queryset.filter(by__in=[search_term, f"user:{search_term}"]), False  # here, and over the API

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup in FILTERS

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ASK)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.live)
        return [path("<uuid:pk>/live/", view, name="jobs_export_live"), *super().get_urls()]

    @admin.display(description=gettext_lazy("source"))
    def of_what(self, export: Export) -> str:
        source = _source(export)
        return title_of(source) if source else export.source

    @labelled(gettext_lazy("state"), LOOKS)
    def stands(self, export: Any) -> tuple[str, str]:
        return _state(export)

    @admin.display(description=gettext_lazy("columns"))
    def which_columns(self, export: Export) -> str:
        source = _source(export)
        known = source.by_name if source else {}
        return ", ".join(column_label(source, one) if source and one in known else one for one in export.columns)

    @admin.display(description=gettext_lazy("filters"))
    def which_filters(self, export: Export) -> str:
        source = _source(export)
        known = {name: filter_label(source.rows().model, one) for name, one in source.filters.items()} if source else {}
        return "; ".join(f"{known.get(name, name)}: {value}" for name, value in export.filters.items()) or "-"

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Of what, and then which columns and rows."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        person = people.of(request.user)
        mine = exports.open_to(person)
        source = next((one for one in mine if one.name == request.GET.get("source")), None)
        form = ExportForm(source, request.POST if request.method == "POST" else None) if source else None
        if form is not None and request.method == "POST" and form.is_valid():
            try:
                export = exports.ask(form.wanted, person)
            except ValueError as exc:
                form.add_error(None, str(exc))
            else:
                self.log_addition(request, export, f"{export.source}.{export.format}")
                return HttpResponseRedirect(reverse("admin:jobs_export_change", args=[export.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Ask for an export"),
            "sources": [(one.name, title_of(one)) for one in mine],
            "chosen": source,
            "chosen_title": title_of(source) if source else "",
            "revealed": bool(source and source.reveals and person.may(source.reveals)),
            "masked": bool(source and source.reveals and not person.may(source.reveals)),
            "form": form,
            "media": self.media + form.media if form else self.media,
        }
        return TemplateResponse(request, "admin/jobs/export/ask.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        export = self.get_object(request, object_id)
        shown = self._told(request, export) if export and self.has_view_permission(request, export) else {}
        shown = {**(extra_context or {}), **shown}
        return super().change_view(request, object_id, form_url, extra_context=shown)

    def live(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The part of the page that changes, asked for every two seconds while it is under way."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_object(request, str(pk))
        if export is None:
            raise Http404
        shown = self._told(request, export)
        answer = TemplateResponse(request, "admin/jobs/export/live.html", shown | {"fragment": True})
        if not shown["opened"]:
            answer["X-Over"] = "yes"
        return answer

    def told(self, request: HttpRequest, row: Any, verb: Verb, outcome: Any) -> None:
        messages.success(request, str(RECEIPTS[outcome]))

    def _told(self, request: HttpRequest, export: Any) -> dict[str, Any]:
        job = Job.objects.filter(pk=export.pk).only("state", "reason", "progress", "queue", "tenant").first()
        progress = (job.progress if job else None) or {}
        total = progress.get("total") or 0
        state, words = _state(export)
        theirs = job is not None and scopes.of(request.user).holds(job.queue, job.tenant)
        return {
            "export": export,
            "opened": _open(export),
            "look": LOOKS.get(state, ""),
            "words": words,
            "why": neighbours.shown(job.reason) if job else "",
            "progress": progress if total else {},
            "percent": round(100 * progress.get("done", 0) / total) if total else 0,
            "job": job.pk if job and theirs and request.user.has_perm("jobs.view_job") else None,
            "withheld": self.withheld(request, export) if export.finished_at else "",
            "to_have": self.verb_url(export, "download"),
        }


def title_of(source: Source) -> str:
    """As its rows are called elsewhere."""
    title = str(source.rows().model._meta.verbose_name_plural)
    return title[:1].upper() + title[1:]


def _source(export: Export) -> Source | None:
    """None: it was asked for by other code, which named another one."""
    return next((one for one in sources.known() if one.name == export.source), None)


def _state(export: Any) -> tuple[str, str]:
    """Of its job; of one whose job has been deleted since, what the export itself tells."""
    state = export.state or (Job.State.SUCCEEDED if export.finished_at else Job.State.EXPIRED)
    return state, str(Job.State(state).label)
