"""The operator's screens for jobs and queues: look, cancel, retry, pause. Every action is a verb of the ledger."""

import uuid
from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from jobs import ledger, ticks
from jobs.models import Attempt, Clock, Job, Queue


class AttemptInline(admin.TabularInline[Attempt, Job]):
    model = Attempt
    extra = 0
    can_delete = False
    readonly_fields = fields = ("number", "worker", "started_at", "duration", "outcome", "error", "traceback")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(admin.ModelAdmin[Job]):
    list_display = ("name", "state", "queue", "priority", "run_at", "failures", "reason", "id")
    list_per_page = 50
    list_filter = ("state", "queue", "priority")
    search_help_text = "A job's id, its unique key, or a tag such as booking:17"
    search_fields = ("unique_key",)  # shows the box; get_search_results decides
    ordering = ("-id",)
    inlines = (AttemptInline,)
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
        outcome = ledger.cancel([job.pk for job in chosen], f"cancelled by {request.user}")
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


@admin.register(Queue)
class QueueAdmin(admin.ModelAdmin[Queue]):
    list_display = ("name", "window", "paused_at", "paused_until", "paused_by", "paused_reason")
    readonly_fields = ("paused_at", "paused_by")
    actions = ("pause", "resume")

    @admin.action(description="Pause the selected queues", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Queue]) -> None:
        """Stops sending; planning and cancelling go on. What is queued already is taken back."""
        names = list(queryset.values_list("name", flat=True))
        queryset.update(paused_at=timezone.now(), paused_until=None, paused_by=str(request.user))
        released = ledger.release(Job.objects.filter(queue__in=names))
        self.message_user(request, f"Paused {', '.join(names)}; {released} queued jobs taken back.")

    @admin.action(description="Resume the selected queues", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Queue]) -> None:
        queryset.update(paused_at=None, paused_until=None, paused_by="", paused_reason="")
        self.message_user(request, "Resumed.")


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
