"""The operator's screens for jobs and queues: look, cancel, retry, pause. Every action is a verb of the ledger."""

import uuid
from collections import Counter
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.utils import timezone

from jobs import crews, ledger, limits, orders, pauses, ticks
from jobs.listing import Pages, QueueFilter
from jobs.models import Attempt, Clock, Job, JobEvent, KeyLimit, Pause, Queue, QueueWorker, SchedulePolicy


class AttemptInline(admin.TabularInline[Attempt, Job]):
    model = Attempt
    extra = 0
    can_delete = False
    readonly_fields = fields = ("number", "worker", "started_at", "duration", "outcome", "error", "traceback")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class JobEventInline(admin.TabularInline[JobEvent, Job]):
    model = JobEvent
    verbose_name_plural = "asked for"
    extra = 0
    can_delete = False
    readonly_fields = fields = ("at", "by", "verb", "reason", "before", "outcome")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(admin.ModelAdmin[Job]):
    list_display = ("name", "state", "queue", "priority", "run_at", "failures", "reason", "id")
    list_per_page = 50
    list_filter = ("state", QueueFilter, "priority")
    paginator = Pages
    search_help_text = "A job's id, its unique key, or a tag such as booking:17"
    search_fields = ("unique_key",)  # shows the box; get_search_results decides
    ordering = ("-id",)
    inlines = (JobEventInline, AttemptInline)
    actions = ("cancel", "retry")
    show_full_result_count = False  # a COUNT over the whole table for each page

    @admin.display(description="task", ordering="task")
    def name(self, job: Job) -> str:
        return job.name

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=uuid.UUID(term)), False
        except ValueError:
            return queryset.filter(unique_key=term) | queryset.filter(correlation_id=term), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # jobs are made by calling a durable task

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False  # the ledger keeps its history

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.cancel_job")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.retry_job")

    @admin.action(description="Cancel the selected jobs", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        chosen = list(queryset)
        by = str(request.user)
        outcome = orders.cancel([job.pk for job in chosen], by=by, reason=f"cancelled by {by}")
        self._note(request, chosen, "cancel")
        counts = Counter(outcome.values())
        text = ", ".join(f"{count} {what.value}" for what, count in counts.items()) or "nothing to cancel"
        level = messages.WARNING if counts[ledger.Cancelled.IN_FLIGHT] else messages.SUCCESS
        self.message_user(request, f"Cancel: {text}.", level)

    @admin.action(description="Run the selected jobs again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        chosen = list(queryset)
        again = ledger.retry([job.pk for job in chosen])
        self._note(request, [job for job in chosen if job.pk in again], "retry")
        left = len(chosen) - len(again)
        rest = f" {left} left alone: only failed, cancelled and expired jobs run again." if left else ""
        self.message_user(request, f"{len(again)} scheduled to run again.{rest}")

    def _note(self, request: HttpRequest, jobs: list[Job], verb: str) -> None:
        for job in jobs:
            self.log_change(request, job, verb)


class QueueForm(forms.ModelForm[Queue]):
    SCALING = frozenset({"desired_processes", "reason"})
    reason = forms.CharField(required=False, help_text="of another number of processes")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "desired_processes" in self.changed_data and not data.get("reason"):
            self.add_error("reason", "Say why so many processes are wanted.")
        return data


@admin.register(Queue)
class QueueAdmin(admin.ModelAdmin[Queue]):
    form = QueueForm
    list_display = ("name", "window", "concurrency", "rate", "processes", "paused")
    actions = ("pause", "resume")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        pause = pauses.in_force(Pause.objects.filter(kind=Pause.Kind.QUEUE, name=OuterRef("name")))
        told = {f"paused_{what}": Subquery(pause.values(what)[:1]) for what in ("by", "until", "reason")}
        crew = QueueWorker.objects.filter(crews.PRESENT, queue=OuterRef("name")).order_by().values("queue")
        actual = Subquery(crew.annotate(total=Sum("processes")).values("total"))
        return super().get_queryset(request).annotate(actual=actual, **told)

    @admin.display(description="processes, actual / desired")
    def processes(self, queue: Any) -> str:
        wanted = "as started" if queue.desired_processes is None else queue.desired_processes
        why = f" by {queue.desired_by}. {queue.desired_reason}" if queue.desired_by else ""
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

    @admin.display(description="rate")
    def rate(self, queue: Queue) -> str:
        rate = limits.rate_of(queue)
        return f"{rate.count} in {rate.period.total_seconds():g} s" if rate else "-"

    @admin.display(description="paused")
    def paused(self, queue: Any) -> str:
        if queue.paused_by is None:
            return "-"
        until = f" until {queue.paused_until:%Y-%m-%d %H:%M %Z}" if queue.paused_until else ""
        return f"by {queue.paused_by}{until}. {queue.paused_reason}"

    def has_delete_permission(self, request: HttpRequest, obj: Queue | None = None) -> bool:
        return False  # the dispatcher would add it again, without its limits

    @admin.action(description="Pause the selected queues", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Queue]) -> None:
        """Stops sending; planning and cancelling go on. What is queued already is taken back."""
        names = list(queryset.values_list("name", flat=True))
        released = pauses.pause("queue", names, by=str(request.user))
        self.message_user(request, f"Paused {', '.join(names)}; {released} queued jobs taken back.")

    @admin.action(description="Resume the selected queues", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Queue]) -> None:
        resumed = pauses.resume("queue", queryset.values_list("name", flat=True))
        self.message_user(request, f"Resumed {resumed}.")


@admin.register(QueueWorker)
class QueueWorkerAdmin(admin.ModelAdmin[QueueWorker]):
    """Who serves which queue; red: it went away without a word."""

    list_display = ("worker", "queue", "processes", "scalable", "seen_at", "here")
    list_filter = ("queue",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[QueueWorker]:
        return super().get_queryset(request).annotate(here=crews.HERE)

    @admin.display(boolean=True)
    def here(self, row: Any) -> bool:
        return bool(row.here)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: QueueWorker | None = None) -> bool:
        return False


@admin.register(KeyLimit)
class KeyLimitAdmin(admin.ModelAdmin[KeyLimit]):
    list_display = ("key", "limit")
    list_editable = ("limit",)

    def has_delete_permission(self, request: HttpRequest, obj: KeyLimit | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.key != KeyLimit.ALL)


@admin.register(Pause)
class PauseAdmin(admin.ModelAdmin[Pause]):
    """What is paused, by whom, why, and until when. To add a row pauses, to delete it resumes."""

    list_display = ("name", "kind", "in_force", "by", "at", "until", "reason")
    list_filter = ("kind",)
    readonly_fields = ("by", "at")

    @admin.display(boolean=True)
    def in_force(self, pause: Pause) -> bool:
        return pause.until is None or pause.until > timezone.now()

    def get_readonly_fields(self, request: HttpRequest, obj: Pause | None = None) -> tuple[str, ...]:
        return self.readonly_fields + (("kind", "name") if obj else ())

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        by = str(request.user)
        released = pauses.pause(obj.kind, [obj.name], by=by, reason=obj.reason, until=obj.until)
        obj.pk = Pause.objects.get(kind=obj.kind, name=obj.name).pk
        self.message_user(request, f"Paused; {released} queued jobs taken back.")


@admin.register(Clock)
class ClockAdmin(admin.ModelAdmin[Clock]):
    list_display = ("__str__", "ticked_at", "ticked_by", "held_since", "held_reason")
    actions = ("release",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Clock | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Clock | None = None) -> bool:
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_clock")

    @admin.action(description="Believe the clock again and send what is due", permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Clock]) -> None:
        if not ticks.release(f"by {request.user}"):
            self.message_user(request, "Nothing was held.", messages.WARNING)
            return
        for row in queryset:
            self.log_change(request, row, "release")
        self.message_user(request, "Released: what is due goes out with the next tick.")


@admin.register(SchedulePolicy)
class SchedulePolicyAdmin(admin.ModelAdmin[SchedulePolicy]):
    list_display = ("schedule", "missed", "window")
    list_select_related = ("schedule",)
    list_filter = ("missed",)
    autocomplete_fields = ("schedule",)
