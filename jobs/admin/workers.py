"""Who serves which queue."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _, gettext_lazy
from unfold.decorators import display

from config.theme.pages import ModelAdmin
from jobs import crews
from jobs.admin.scoped import Scoped
from jobs.models import Queue, QueueWorker


@admin.register(QueueWorker)
class QueueWorkerAdmin(Scoped, ModelAdmin[QueueWorker]):
    """Who serves which queue; red: it went away without a word."""

    scope_columns: ClassVar[dict[str, Any]] = {"queue": "queue", "tenant": None}
    list_display = ("worker", "crew", "processes", "desired", "scalable", "seen_at", "presence")
    list_filter = ("queue",)
    fields = ("queue", "worker", "processes", "scalable", "seen_at", "started_at", "held")

    def get_queryset(self, request: HttpRequest) -> QuerySet[QueueWorker]:
        wanted = Queue.objects.filter(name=OuterRef("queue")).values("desired_processes")
        rows: QuerySet[QueueWorker] = super().get_queryset(request)
        return rows.annotate(here=crews.HERE, wanted=Subquery(wanted))

    @admin.display(description=gettext_lazy("queue"))
    def crew(self, row: QueueWorker) -> str:
        """To the page of the queue, where its processes are made more or fewer."""
        return format_html(
            '<a href="{}" class="underline">{}</a>', reverse("admin:jobs_queue_change", args=[row.queue]), row.queue
        )

    @admin.display(description=gettext_lazy("desired, of all workers of the queue"))
    def desired(self, row: Any) -> str:
        return _("as started") if row.wanted is None else str(row.wanted)

    @display(description=gettext_lazy("there"), label={"here": "success", "absent": "danger"})  # type: ignore[untyped-decorator]
    def presence(self, row: Any) -> tuple[str, str]:
        return ("here", _("here")) if row.here else ("absent", _("absent"))

    @admin.display(description=gettext_lazy("memory"))
    def held(self, row: QueueWorker) -> str:
        return "-" if row.memory is None else filesizeformat(row.memory)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: QueueWorker | None = None) -> bool:
        return False
