"""Queues: their limits, how many processes work for each, and what is paused."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from config.theme.pages import ModelAdmin
from jobs import crews, limits, pauses, scopes
from jobs.admin.crew_page import CrewPage, told
from jobs.admin.pause_form import PauseForm, ReasonForm
from jobs.admin.scoped import Scoped
from jobs.models import Pause, Queue, QueueWorker

CONFIRM = "_confirm"


class QueueForm(forms.ModelForm[Queue]):
    SCALING = frozenset({"desired_processes", "reason"})
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("of another number of processes"),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "desired_processes" in self.changed_data and not data.get("reason"):
            self.add_error("reason", _("Say why so many processes are wanted."))
        return data


@admin.register(Queue)
class QueueAdmin(Scoped, CrewPage, ModelAdmin[Queue]):
    scope_columns: ClassVar[dict[str, Any]] = {"queue": "name", "tenant": None}
    form = QueueForm
    list_display = ("name", "window", "concurrency", "rate", "processes", "paused")
    actions = ("pause", "resume")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        pause = pauses.in_force(Pause.objects.filter(kind=Pause.Kind.QUEUE, name=OuterRef("name")))
        pause_of = {f"paused_{what}": Subquery(pause.values(what)[:1]) for what in ("by", "until", "reason")}
        crew = QueueWorker.objects.filter(crews.PRESENT, queue=OuterRef("name")).order_by().values("queue")
        actual = Subquery(crew.annotate(total=Sum("processes")).values("total"))
        rows: QuerySet[Queue] = super().get_queryset(request).annotate(actual=actual, **pause_of)
        return rows

    def get_urls(self) -> list[Any]:
        return [*self.crew_urls(), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        queue = self.get_object(request, object_id)
        shown = told(request, queue.name) if queue else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    @admin.display(description=gettext_lazy("processes, actual / desired"))
    def processes(self, queue: Any) -> str:
        wanted = _("as started") if queue.desired_processes is None else queue.desired_processes
        why = (
            " " + _("by %(name)s. %(reason)s") % {"name": queue.desired_by, "reason": queue.desired_reason}
            if queue.desired_by
            else ""
        )
        return f"{queue.actual or 0} / {wanted}{why}"

    def get_fields(self, request: HttpRequest, obj: Queue | None = None) -> tuple[str, ...]:
        known = ("name", "window", "concurrency", "rate_count", "rate_period", "rate_burst")
        shown = (*known, "processes") if obj else known
        return (*shown, "desired_processes", "reason") if request.user.has_perm("jobs.scale_queue") else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Queue | None = None) -> tuple[str, ...]:
        return ("name", "processes") if obj else ()

    def save_model(self, request: HttpRequest, obj: Queue, form: Any, change: bool) -> None:
        """Only what was changed: the dispatcher keeps its counts in the same row."""
        obj.save(update_fields=set(form.changed_data) - QueueForm.SCALING if change else None)
        if "desired_processes" in form.changed_data:
            crews.desire(obj.name, obj.desired_processes, by=str(request.user), reason=form.cleaned_data["reason"])

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        rest: Any = super().construct_change_message(request, form, formsets, add)
        if "desired_processes" not in form.changed_data:
            return rest
        wanted, others = form.cleaned_data["desired_processes"], sorted(set(form.changed_data) - QueueForm.SCALING)
        text = f"Desired processes: {wanted or 'as started'}. {form.cleaned_data['reason']}"
        return f"{text} (also changed: {', '.join(others)})" if others else text

    @admin.display(description=gettext_lazy("rate"))
    def rate(self, queue: Queue) -> str:
        rate = limits.rate_of(queue)
        return (
            _("%(count)d in %(seconds)g s") % {"count": rate.count, "seconds": rate.period.total_seconds()}
            if rate
            else "-"
        )

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, queue: Any) -> str:
        if queue.paused_by is None:
            return "-"
        said = {"name": queue.paused_by, "reason": queue.paused_reason}
        if not queue.paused_until:
            return _("by %(name)s. %(reason)s") % said
        until = date_format(timezone.localtime(queue.paused_until), "DATETIME_FORMAT")
        return _("by %(name)s until %(until)s. %(reason)s") % {**said, "until": until}

    def has_delete_permission(self, request: HttpRequest, obj: Queue | None = None) -> bool:
        return False  # the dispatcher would add it again, without its limits

    def has_change_permission(self, request: HttpRequest, obj: Queue | None = None) -> bool:
        """Who has some tenants of a queue only does not set it for the others."""
        owned = obj is None or scopes.of(request.user).owns(obj.name)
        return owned and super().has_change_permission(request, obj)

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.pause_queue")

    @admin.action(description=gettext_lazy("Pause..."), permissions=["pause"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Queue]) -> HttpResponse | None:
        """Stops sending; planning and cancelling go on. What is queued already is taken back."""
        form = PauseForm(request.POST if CONFIRM in request.POST else None)
        names = self._owned(request, queryset)
        if not form.is_valid():
            return self._ask(request, "pause", names, form)
        said = form.cleaned_data
        by = request.user.get_username()
        released = pauses.pause("queue", names, by=by, reason=said["reason"], until=said["until"])
        self._log(request, queryset, f"pause: {said['reason']}")
        told = {"names": ", ".join(names), "number": released}
        self.message_user(request, _("Paused %(names)s; %(number)d queued jobs taken back.") % told)
        return None

    @admin.action(description=gettext_lazy("Resume..."), permissions=["pause"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Queue]) -> HttpResponse | None:
        form = ReasonForm(request.POST if CONFIRM in request.POST else None)
        names = self._owned(request, queryset)
        if not form.is_valid():
            return self._ask(request, "resume", names, form)
        resumed = pauses.resume("queue", names)
        self._log(request, queryset, f"resume: {form.cleaned_data['reason']}")
        self.message_user(request, _("Resumed %d.") % resumed)
        return None

    def _owned(self, request: HttpRequest, queryset: QuerySet[Queue]) -> list[str]:
        names = list(queryset.values_list("name", flat=True))
        if not all(scopes.of(request.user).owns(name) for name in names):
            raise PermissionDenied
        return names

    def _ask(self, request: HttpRequest, verb: str, names: list[str], form: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": {"pause": _("Pause"), "resume": _("Resume")}[verb],
            "verb": verb,
            "names": names,
            "form": form,
            "media": self.media + form.media,
            "confirm_name": CONFIRM,
        }
        return TemplateResponse(request, "admin/jobs/queue/confirm.html", context)

    def _log(self, request: HttpRequest, queryset: QuerySet[Queue], what: str) -> None:
        for queue in queryset:
            self.log_change(request, queue, what)
