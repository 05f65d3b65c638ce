"""Reports: the list of those that there are, a form to ask for one, and its files for those who may see it.

`reports` keeps and writes them. The promise: each look at a file asks for the permission and the scope again; the
HTML runs nothing and loads nothing in the browser of whoever reads it.
"""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext as _, gettext_lazy

from config.theme.forms import Day, ThemedForm
from config.theme.pages import ModelAdmin
from config.theme.readonly import ReadOnly
from config.theme.tenancy import NotThere, chooser, sees_several, tenants_of, the_only_one
from jobs import scopes
from jobs.library import people, storage
from notifications import timing
from notifications.admin.report_mails import Mails
from notifications.models import Report
from notifications.reports import reports, sections

POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
LOOK_AGAIN = "3"  # seconds, while it is being written


class AskForm(ThemedForm):
    kind = forms.ChoiceField(label=gettext_lazy("Report of"), choices=Report.Kind.choices, initial="week")
    on = forms.DateField(label=gettext_lazy("that has the day"), widget=Day())
    zone = forms.CharField(label=gettext_lazy("Time zone"), max_length=64, help_text=gettext_lazy("IANA name"))
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    tenant = forms.CharField(required=False, widget=forms.HiddenInput())

    def clean_zone(self) -> str:
        try:
            return timing.zone(self.cleaned_data["zone"]).key
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from None


@admin.register(Report)
class ReportAdmin(NotThere, ReadOnly, ModelAdmin[Report]):
    list_display = ("period", "kind", "zone", "language", "tenant", "counted_at", "files")
    list_display_links = ("period",)
    list_filter = ("kind", "language")
    list_per_page = 50
    ordering = ("-first_day", "-id")
    fields = ("period", "zone", "language", "tenant", "by", "asked_at", "counted_at", "files")
    readonly_fields = ("period", "files")
    inlines = (Mails,)
    change_form_template = "admin/notifications/report/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        whole = super().get_queryset(request)
        return whole & reports.of_scope(scopes.of(request.user))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(reports.ASK)

    def get_list_display(self, request: HttpRequest) -> Any:
        return [one for one in self.list_display if one != "tenant" or sees_several(request)]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.file_view)
        return [path("<uuid:pk>/file.<str:what>", view, name="notifications_report_file"), *super().get_urls()]

    @admin.display(description=gettext_lazy("period"), ordering="first_day")
    def period(self, report: Report) -> str:
        return sections.title(reports.period_of(report))

    @admin.display(description=gettext_lazy("files"))
    def files(self, report: Report) -> str | SafeString:
        links = [
            (reverse("admin:notifications_report_file", args=[report.pk, what]), label, self.period(report))
            for what, label in (("html", _("Read")), ("pdf", "PDF"))
            if getattr(report, f"{what}_id")
        ]
        if not links:
            return "-"
        return format_html_join(" ", '<a class="underline" href="{}" aria-label="{}: {}">{}</a>', _named(links))

    def file_view(self, request: HttpRequest, pk: Any, what: str) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        report = self.get_queryset(request).select_related("html", "pdf").filter(pk=pk).first()
        file = getattr(report, what, None) if what in reports.TYPES else None
        if report is None or file is None:
            raise Http404
        try:
            content = storage.read(file)
        except storage.Missing:
            raise Http404 from None
        # The PDF is saved; the HTML is read here, in a box of its own.
        answer = FileResponse(content, as_attachment=what == "pdf", filename=file.name, content_type=file.content_type)
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Referrer-Policy"] = "no-referrer"
        answer["Cache-Control"] = "private, no-store"
        if what == "html":
            answer["Content-Security-Policy"] = POLICY
        return answer

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for one. What is there already is shown at once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = _form(request, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                report = reports.ask(**form.cleaned_data, person=people.of(request.user))
            except ValueError as exc:
                form.add_error("on", str(exc))
            except PermissionDenied as exc:
                form.add_error(None, str(exc))
            else:
                if report.counted_at is None:
                    messages.success(request, _("It is being written."))
                return HttpResponseRedirect(reverse("admin:notifications_report_change", args=[report.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Ask for a report"),
            "form": form,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/notifications/report/ask.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        report = self.get_object(request, object_id)
        shown: dict[str, Any] = {"row": report, "opened": report is not None and reports.is_being_written(report)}
        if report is not None:
            shown["heading"] = self.period(report)
            if report.figures is not None:
                shown["glance"] = reports.document_of(report).glance()
        answer = super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
        if shown["opened"]:
            answer["Refresh"] = LOOK_AGAIN
        return answer


def _named(links: list[tuple[str, str, str]]) -> list[tuple[str, str, str, str]]:
    """With the period in the name: in a list there are many links "PDF"."""
    return [(url, label, period, label) for url, label, period in links]


def _form(request: HttpRequest, data: Any = None) -> AskForm:
    """Of one's own tenants. Who has one, or knows of none, is not asked."""
    usual = {
        "on": timezone.localdate() - timedelta(days=1),
        "zone": settings.TIME_ZONE,
        "language": get_language() or settings.LANGUAGE_CODE,
    }
    form = AskForm(data, initial=usual)
    if sees_several(request):
        form.fields["tenant"] = chooser(request)
    else:
        form.fields["tenant"].disabled = True  # whatever is posted
        form.initial["tenant"] = (the_only_one(request) or "") if tenants_of(request) is not None else ""
    return form
