"""The clock: when it ticked last, and whether it is held because it jumped."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin
from jobs import ticks
from jobs.admin.scoped import sees_all
from jobs.models import Clock


@admin.register(Clock)
class ClockAdmin(ModelAdmin[Clock]):
    list_display = ("__str__", "ticked_at", "ticked_by", "held_since", "held_reason")
    actions = ("release",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Clock | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Clock | None = None) -> bool:
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        return sees_all(request) and request.user.has_perm("jobs.change_clock")

    @admin.action(description=gettext_lazy("Believe the clock again and send what is due"), permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Clock]) -> None:
        if not ticks.release(f"by {request.user}"):
            self.message_user(request, _("Nothing was held."), messages.WARNING)
            return
        for row in queryset:
            self.log_change(request, row, "release")
        self.message_user(request, _("Released: what is due goes out with the next tick."))
