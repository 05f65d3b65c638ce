"""Users, groups and refused logins, in the theme."""

from typing import TYPE_CHECKING, Any

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as TheirGroupAdmin, UserAdmin as TheirUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from config.theme.pages import ModelAdmin
from jobs import scopes

if TYPE_CHECKING:

    class Users(TheirUserAdmin[User]): ...

    class Groups(TheirGroupAdmin): ...

else:

    class Users(TheirUserAdmin, ModelAdmin): ...

    class Groups(TheirGroupAdmin, ModelAdmin): ...


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Whoever can give somebody a password can be him: so only those who may no more, and nobody for a scoped one."""
    if request.user.is_superuser:
        return True
    if scopes.of(request.user).limits is not None:
        return False
    return user is None or (not user.is_superuser and not _permissions_of(user).exclude(pk__in=_own(request)).exists())


def _own(request: HttpRequest) -> Any:
    return _permissions_of(request.user)


def _permissions_of(user: Any) -> Any:
    """Also of those who are switched off: they can be switched on."""
    return Permission.objects.filter(Q(user=user.pk) | Q(group__user=user.pk)).order_by().values("pk").distinct()


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(Users):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")

    # Whoever manages users must not become more than that: only a superuser makes or changes one.
    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser", "user_permissions")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The groups of those who may no more than oneself."""
        if db_field.name == "groups" and not request.user.is_superuser:
            more = Permission.objects.exclude(pk__in=_own(request))
            kwargs["queryset"] = Group.objects.exclude(permissions__in=more)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and _may_touch(request, None)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


@admin.register(Group)
class GroupAdmin(Groups):
    pass


@admin.register(AccessAttempt)
class AccessAttemptAdmin(ModelAdmin[Any]):
    """Who was refused too often. To delete a row lets them try again at once."""

    list_display = ("username", "ip_address", "failures_since_start", "attempt_time")
    search_fields = ("username", "ip_address")
    fields = ("username", "ip_address", "failures_since_start", "attempt_time", "user_agent")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
