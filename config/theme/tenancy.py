"""Whose rows a page shows: those of the tenants of who asks (`jobs.scopes`), as if there were no others.

`OfTenants` goes first among the bases of every page of rows that have a tenant. The promise: what is of another tenant
is not there: not in a list, a filter, a choice or a search, not by its address and not for an action; and a new row is
of the tenant of who makes it. Who sees all meets tenants only if the setting TENANTS says that there are any.
"""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _, gettext_lazy
from unfold.contrib.filters.admin import RelatedDropdownFilter, TextFilter
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from jobs import scopes
from jobs.models import Job

LONGEST = Job._meta.get_field("tenant").max_length


def within(request: HttpRequest, rows: Any, tenant: str = "tenant", *, shared: bool = False) -> Any:
    """Those of the rows that are of one's tenants; `shared`: also those of all tenants."""
    return scopes.of(request.user).of_tenants(rows, tenant, shared=shared)


def tenants_of(request: HttpRequest) -> frozenset[str] | None:
    """None: all there are."""
    return scopes.of(request.user).tenants


def sees_several(request: HttpRequest) -> bool:
    """Whether it has to be said of a row whose it is."""
    mine = tenants_of(request)
    return bool(settings.TENANTS) if mine is None else len(mine) > 1


def the_only_one(request: HttpRequest) -> str | None:
    """The tenant of all that one makes. None: it has to be chosen."""
    mine = tenants_of(request)
    if mine is None:
        return None if settings.TENANTS else ""
    return next(iter(mine)) if len(mine) == 1 else None


def chooser(request: HttpRequest) -> forms.Field:
    """Of one's tenants, or any name."""
    mine, label = tenants_of(request), _("Tenant")
    if mine is None:
        told = _("the business that it belongs to; empty: the only one, or all")
        widget = UnfoldAdminTextInputWidget()
        return forms.CharField(label=label, required=False, max_length=LONGEST, help_text=told, widget=widget)
    choices = [(name, name or _("(none)")) for name in sorted(mine)]
    return forms.ChoiceField(label=label, required="" not in mine, choices=choices, widget=UnfoldAdminSelectWidget())


class TenantFilter(TextFilter):  # type: ignore[misc]  # untyped
    title, parameter_name = gettext_lazy("tenant"), "tenant"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(tenant=self.value()) if self.value() else queryset


class OfOnesTenants(RelatedDropdownFilter):  # type: ignore[misc]  # untyped
    """By a related row: Django's own would name those of all tenants."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        found = super().field_choices(field, request, model_admin)
        if tenants_of(request) is None:
            return found
        theirs = set(
            model_admin.admin_site.get_model_admin(field.related_model)
            .get_queryset(request)
            .values_list("pk", flat=True)
        )
        return [(pk, name) for pk, name in found if pk in theirs]


class OnlyTheirs:
    """A page or an inline whose choices of other rows are those that one sees."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        page = self.admin_site._registry.get(db_field.related_model)  # type: ignore[attr-defined]  # the admin's
        if isinstance(page, OfTenants):
            kwargs.setdefault("queryset", page.get_queryset(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class NotThere:
    """A page on which a row that one does not see is a 404, after the question of permission."""

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> Any:
        raise Http404  # the admin's way is to its first page, with a message: other pages answer what they are asked

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_or_change_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied  # before it is looked whether there is such a row
        answer: HttpResponse = super().history_view(request, object_id, *args, **kwargs)  # type: ignore[misc]
        return answer


class OfTenants(NotThere, OnlyTheirs):
    """A page of rows that have a tenant themselves, or by a relation: `tenant` is the way to it."""

    tenant: ClassVar[str] = "tenant"
    shared: ClassVar[bool] = False  # rows of no tenant are of all: whoever has a scope may only look at them
    chosen: ClassVar[bool] = False  # new rows are of whom one says; else they get it from their customer

    def get_queryset(self, request: HttpRequest) -> Any:
        return within(request, super().get_queryset(request), self.tenant, shared=self.shared)  # type: ignore[misc]  # the admin's

    def _has_tenant(self, request: HttpRequest) -> bool:
        return self.tenant == "tenant" and sees_several(request)

    def get_list_display(self, request: HttpRequest) -> Any:
        found = super().get_list_display(request)  # type: ignore[misc]
        return [*found, "tenant"] if self._has_tenant(request) else found

    def get_list_filter(self, request: HttpRequest) -> Any:
        found = super().get_list_filter(request)  # type: ignore[misc]
        return [*found, TenantFilter] if self._has_tenant(request) else found

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        (name, first), *others = super().get_fieldsets(request, obj)  # type: ignore[misc]
        rest = [field for field in first["fields"] if field != "tenant"]
        said = self._has_tenant(request) and (obj is not None or self.chosen)
        return [(name, {**first, "fields": ["tenant", *rest] if said else rest}), *others]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_readonly_fields(request, obj)  # type: ignore[misc]
        return found if obj is None else [*found, "tenant"]  # it never changes

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "tenant":
            return chooser(request)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change, **kwargs)  # type: ignore[misc]
        if obj is not None or not self.chosen:
            return made
        only = the_only_one(request)

        class OfTheirTenant(made):  # type: ignore[misc,valid-type]
            def __init__(form, *args: Any, **given: Any) -> None:
                super().__init__(*args, **given)
                if only is not None:
                    form.instance.tenant = only

        return OfTheirTenant

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        nobodys = self.shared and tenants_of(request) == frozenset([""])  # what they make would be everybody's
        return not nobodys and bool(super().has_add_permission(request, *args))  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_theirs(request, obj) and bool(super().has_change_permission(request, obj))  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_theirs(request, obj) and bool(super().has_delete_permission(request, obj))  # type: ignore[misc]

    def _is_theirs(self, request: HttpRequest, obj: Any) -> bool:
        return not (self.shared and obj is not None and not obj.tenant and tenants_of(request) is not None)


class OfTheInstallation:
    """A page of what all tenants have in common: not for those who have some of them. Goes first too."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return tenants_of(request) is None and bool(super().has_view_permission(request, obj))  # type: ignore[misc]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return tenants_of(request) is None and bool(super().has_add_permission(request))  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return tenants_of(request) is None and bool(super().has_change_permission(request, obj))  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return tenants_of(request) is None and bool(super().has_delete_permission(request, obj))  # type: ignore[misc]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return tenants_of(request) is None and bool(super().has_module_permission(request))  # type: ignore[misc]
