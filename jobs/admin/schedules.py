"""Schedules: django-celery-beat's forms in the theme, with the next runs and what clock changes do to them."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from celery import current_app
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format, localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy
from django_celery_beat import admin as beat
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.theme.pages import ModelAdmin, StackedInline, TabularInline
from jobs import arguments, forecast
from jobs.admin.scoped import OfAll, sees_all
from jobs.durable import Durable
from jobs.models import SchedulePolicy

Act = Callable[[HttpRequest, QuerySet[PeriodicTask]], None]
SCHEDULES = {
    ClockedSchedule: beat.ClockedScheduleAdmin,
    CrontabSchedule: beat.CrontabScheduleAdmin,
    IntervalSchedule: beat.IntervalScheduleAdmin,
    SolarSchedule: beat.SolarScheduleAdmin,
}
for model in (PeriodicTask, *SCHEDULES):
    admin.site.unregister(model)


HIDDEN = {name: f"masked_{name}" for name in ("args", "kwargs", "headers")}


def _reveals(request: HttpRequest) -> bool:
    """As on the pages of jobs; and a schedule's are of no tenant, so they are for those who see all."""
    return sees_all(request) and request.user.has_perm("jobs.reveal_job")


def _masked(text: str) -> str:
    try:
        return arguments.shown(json.loads(text or "null"), reveal=False)
    except ValueError:  # written past the form
        return arguments.shown(text, reveal=False)


class TaskWidget(UnfoldAdminSelectWidget, beat.TaskSelectWidget):  # type: ignore[misc]  # untyped
    """The names of all tasks, in the theme."""


class PeriodicTaskForm(beat.PeriodicTaskForm):  # type: ignore[misc]  # untyped
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "task" in self.fields:  # a viewer's form has no fields
            self.fields["task"].widget = UnfoldAdminTextInputWidget()
            self.fields["regtask"].widget = TaskWidget()


class PolicyInline(StackedInline[SchedulePolicy, Any]):
    """What becomes of runs that nobody noticed; without a row: one run makes up for all of them."""

    model = SchedulePolicy
    verbose_name_plural = gettext_lazy("missed runs")
    extra = 0


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(OfAll, ModelAdmin, beat.PeriodicTaskAdmin):  # type: ignore[type-arg,misc]  # untyped
    told = True
    form = PeriodicTaskForm
    change_form_template = None  # beat's own has an inline script
    list_display = ("name", "enabled", "when", "next_run", "last_run_at")
    list_filter = ("enabled", "one_off")
    date_hierarchy = None
    readonly_fields = ("last_run_at", "next_runs", "clock_changes")
    fieldsets = (
        (None, {"fields": ("name", "regtask", "task", "enabled", "description")}),
        (
            gettext_lazy("Schedule"),
            {"fields": ("interval", "crontab", "solar", "clocked", "start_time", "one_off", "last_run_at")},
        ),
        (gettext_lazy("What comes"), {"fields": ("next_runs", "clock_changes")}),
        (gettext_lazy("Arguments"), {"fields": ("args", "kwargs"), "classes": ("collapse",)}),
        (
            gettext_lazy("Options of each run"),
            {
                "fields": ("expires", "expire_seconds", "queue", "exchange", "routing_key", "priority", "headers"),
                "classes": ("collapse",),
            },
        ),
    )
    inlines = (PolicyInline,)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What one adds one may type; what is there already one may not read without the right to."""
        found = deepcopy(super().get_fieldsets(request, obj))
        if obj is None or _reveals(request):
            return found
        for _title, said in found:
            fields: tuple[Any, ...] = tuple(said["fields"])
            said["fields"] = tuple(HIDDEN.get(name, name) for name in fields)
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_readonly_fields(request, obj)
        return found if obj is None or _reveals(request) else [*found, *HIDDEN.values()]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """?args__startswith=... would tell letter by letter."""
        hidden = lookup.split("__")[0] in HIDDEN and not _reveals(request)
        return not hidden and bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description=gettext_lazy("positional arguments"))
    def masked_args(self, task: PeriodicTask) -> str:
        return _masked(task.args)

    @admin.display(description=gettext_lazy("keyword arguments"))
    def masked_kwargs(self, task: PeriodicTask) -> str:
        return _masked(task.kwargs)

    @admin.display(description=gettext_lazy("message headers"))
    def masked_headers(self, task: PeriodicTask) -> str:
        return _masked(task.headers)

    def get_actions(self, request: HttpRequest) -> Any:
        """Beat's own ask for no permission: who may look at a schedule could stop the ticks, or run any task."""
        found = super().get_actions(request)
        return found if self.has_change_permission(request) else {}

    @admin.action(description=gettext_lazy("Switch on"))
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._switched(request, queryset.filter(enabled=False), "switched on", super().enable_tasks)

    @admin.action(description=gettext_lazy("Switch off"))
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._switched(request, queryset.filter(enabled=True), "switched off", super().disable_tasks)

    @admin.action(description=gettext_lazy("Switch on what is off, and off what is on"))
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._switched(request, queryset, "switched", super().toggle_tasks)

    def _switched(self, request: HttpRequest, rows: QuerySet[PeriodicTask], what: str, act: Act) -> None:
        """On record is what changed, and that in the transaction that changed it."""
        with transaction.atomic():
            chosen = list(rows.select_for_update(of=("self",)))
            act(request, PeriodicTask.objects.filter(pk__in=[task.pk for task in chosen]))
            for task in PeriodicTask.objects.filter(pk__in=[task.pk for task in chosen]):
                told = what if what != "switched" else "switched on" if task.enabled else "switched off"
                self.log_change(request, task, told)

    @admin.action(description=gettext_lazy("Run now"))
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        """On record is that it was asked for, before it is done; beat's own refuses all if one is not known."""
        if all(task.task in current_app.tasks for task in queryset):
            for task in queryset:
                self.log_change(request, task, "run now")
        super().run_tasks(request, queryset)

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        """Missed runs are made up for by durable tasks only; for others, beat does as it always did."""
        durable = obj is None or isinstance(current_app.tasks.get(obj.task), Durable)
        return self.inlines if durable else ()

    @admin.display(description=gettext_lazy("schedule"))
    def when(self, task: PeriodicTask) -> str:
        once = localize(timezone.localtime(task.clocked.clocked_time)) if task.clocked else "-"
        return str(task.interval or task.crontab or task.solar or once)

    @admin.display(description=gettext_lazy("next run"))
    def next_run(self, task: PeriodicTask) -> str:
        runs = self._runs(task)
        return runs[0] if runs and task.enabled else "-"

    @admin.display(description=gettext_lazy("next five runs"))
    def next_runs(self, task: PeriodicTask) -> str | SafeString:
        if not task.pk:
            return _("Save it first.")
        if not task.enabled:
            return _("None: it is switched off.")
        runs = self._runs(task)
        if runs is None:
            return _("They cannot be told beforehand.")
        if not runs:
            return _("None: it is over.")
        return format_html("<ol>{}</ol>", format_html_join("", "<li>{}</li>", ((run,) for run in runs)))

    @admin.display(description=gettext_lazy("changes of the clocks"))
    def clock_changes(self, task: PeriodicTask) -> str | SafeString:
        if not task.pk:
            return _("Save it first.")
        found = forecast.spoilt(task, timezone.now())
        if not found:
            return _("In the next twelve months it never runs at a time that the clocks leave out or show twice.")
        twice = _("%(time)s (%(zone)s) comes twice on that day. It runs at the first.")
        never = _("%(time)s (%(zone)s) does not exist on that day. It runs later, by as much as the clocks go forward.")
        zone = forecast.zone_of(task).key
        told = [
            (twice if change.twice else never) % {"time": date_format(wall, "DATETIME_FORMAT"), "zone": zone}
            for wall, change in found
        ]
        lines = format_html_join("", "<li>{}</li>", ((line,) for line in told))
        return format_html('<div role="alert"><strong>{}</strong><ul>{}</ul></div>', _("Warning"), lines)

    def _runs(self, task: PeriodicTask) -> list[str] | None:
        zone = forecast.zone_of(task)
        try:
            found = forecast.next_runs(task, timezone.now())
        except ValueError:
            return None
        local = [run.astimezone(zone) for run in found]
        return [f"{date_format(run, 'D')} {date_format(run, 'DATETIME_FORMAT')} {run:%Z}" for run in local]


class UsedBy(TabularInline, beat.PeriodicTaskInline):  # type: ignore[type-arg,misc]  # untyped
    """The tasks that go by a schedule."""

    fields = readonly_fields = ("name", "task", "enabled")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


for model, theirs in SCHEDULES.items():
    ours = type(
        theirs.__name__, (OfAll, ModelAdmin, theirs), {"told": True, "inlines": (UsedBy,), "__module__": __name__}
    )
    admin.site.register(model, ours)
