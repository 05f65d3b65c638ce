"""What is paused. A row is made and removed by the verbs of `pauses`, never by a raw save."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin
from jobs import pauses, scopes
from jobs.admin.pause_form import PauseRowForm
from jobs.models import Pause


@admin.register(Pause)
class PauseAdmin(ModelAdmin[Pause]):
    """What is paused, by whom, why, and until when. To add a row pauses, to delete it resumes."""

    form = PauseRowForm
    list_display = ("name", "kind", "in_force", "by", "at", "until", "reason")
    list_filter = ("kind",)
    readonly_fields = ("by", "at")

    @admin.display(boolean=True, description=gettext_lazy("in force"))
    def in_force(self, pause: Pause) -> bool:
        return pause.until is None or pause.until > timezone.now()

    def get_readonly_fields(self, request: HttpRequest, obj: Pause | None = None) -> tuple[str, ...]:
        return self.readonly_fields + (("kind", "name") if obj else ())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pause]:
        rows, scope = super().get_queryset(request), scopes.of(request.user)
        if scope.limits is None:
            return rows
        return rows.filter(
            pk__in=[pause.pk for pause in Pause.objects.all() if scope.owns_pause(pause.kind, pause.name)]
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "reason" in form.base_fields:
            form.base_fields["reason"].required = True
        return form

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        if not scopes.of(request.user).owns_pause(obj.kind, obj.name):
            raise PermissionDenied
        by = str(request.user)
        released = pauses.pause(obj.kind, [obj.name], by=by, reason=obj.reason, until=obj.until)
        obj.pk = Pause.objects.get(kind=obj.kind, name=obj.name).pk
        self.message_user(request, _("Paused; %d queued jobs taken back.") % released)

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        pauses.resume(obj.kind, [obj.name])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        for pause in queryset:
            pauses.resume(pause.kind, [pause.name])

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.pause_queue")

    def has_change_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        return request.user.has_perm("jobs.pause_queue")

    def has_delete_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        return request.user.has_perm("jobs.pause_queue")
