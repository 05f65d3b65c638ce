"""What Celery's own results say, in the theme. Jobs are told by the ledger; these are of other tasks.

The promise: what a job's page masks is masked here too. Results have no queue and no tenant, so whoever has a scope
does not see them.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from django_celery_results import admin as results
from django_celery_results.models import GroupResult, TaskResult

from config.theme.pages import ModelAdmin
from config.theme.paging import Bounded
from jobs import arguments, neighbours
from jobs.admin.scoped import OfAll

MASKED = {
    "task_args": gettext_lazy("arguments"),
    "task_kwargs": gettext_lazy("named arguments"),
    "result": gettext_lazy("result"),
    "meta": gettext_lazy("meta"),
    "traceback": gettext_lazy("traceback"),
}

for model in (TaskResult, GroupResult):
    admin.site.unregister(model)


class Result(OfAll, ModelAdmin):  # type: ignore[type-arg]
    """Written by workers only."""

    date_hierarchy = None  # it reads the whole table for each page
    show_full_result_count = False
    paginator = Bounded

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Nothing but the filters: ?result__contains=... would tell letter by letter what is masked."""
        return lookup.partition("__")[0] in self.list_filter

    def get_fieldsets(self, request: HttpRequest, obj: object = None) -> Any:
        if request.user.has_perm("jobs.reveal_job"):
            return super().get_fieldsets(request, obj)
        return [
            (title, {**about, "fields": [f"masked_{name}" if name in MASKED else name for name in about["fields"]]})
            for title, about in super().get_fieldsets(request, obj)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> Any:
        return [*super().get_readonly_fields(request, obj), *(f"masked_{name}" for name in MASKED)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


def _masked(name: str) -> Any:
    @admin.display(description=MASKED[name])
    def column(self: Any, row: Any) -> str:
        value = getattr(row, name, None) or ""
        if name == "traceback":
            return neighbours.shown(value) or "-"
        return str(arguments.masked(value)) if value else "-"

    return column


for _name in MASKED:
    setattr(Result, f"masked_{_name}", _masked(_name))


@admin.register(TaskResult)
class TaskResultAdmin(Result, results.TaskResultAdmin):  # type: ignore[misc]  # untyped
    list_filter: ClassVar[Any] = ("status",)
    search_fields: ClassVar[Any] = ("task_id",)


@admin.register(GroupResult)
class GroupResultAdmin(Result, results.GroupResultAdmin):  # type: ignore[misc]  # untyped
    list_filter: ClassVar[Any] = ()
    # Named: else Django would show all that is read-only, the masked columns too.
    fields = ("group_id", "result", "content_type", "content_encoding", "date_created", "date_done")
