"""How many jobs of a key run at once, and the rates of tasks that somebody ordered."""

from django.contrib import admin
from django.http import HttpRequest

from config.theme.pages import ModelAdmin
from jobs.admin.scoped import OfAll
from jobs.models import KeyLimit, TaskRate


@admin.register(KeyLimit)
class KeyLimitAdmin(OfAll, ModelAdmin[KeyLimit]):
    list_display = ("key", "limit")

    def has_delete_permission(self, request: HttpRequest, obj: KeyLimit | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.key != KeyLimit.ALL)


@admin.register(TaskRate)
class TaskRateAdmin(OfAll, ModelAdmin[TaskRate]):
    """Rates that somebody ordered in place of those in the code. To delete a row goes back to the code's."""

    list_display = ("task", "ordered")
