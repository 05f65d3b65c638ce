"""Pages of rows that belong to a queue and perhaps to a tenant: of those, only what lies within the scope of who asks.

The base of every page of jobs, queues and workers; `scopes` decides.
"""

from typing import Any, ClassVar

from django.http import HttpRequest

from jobs import scopes


class Scoped:
    """Goes first among the bases of a page. Rows outside are not found: not in the list, nor by their address."""

    scope_columns: ClassVar[dict[str, Any]] = {"queue": "queue", "tenant": "tenant"}

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)  # type: ignore[misc]  # the admin's
        return scopes.of(request.user).rows(rows, **self.scope_columns)


def sees_all(request: HttpRequest) -> bool:
    return scopes.of(request.user).limits is None


class OfAll:
    """A page of what concerns the jobs of all queues and tenants: not for those who have a scope. Goes first too.

    With `told` they may look at it, but not change it.
    """

    told: ClassVar[bool] = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (self.told or sees_all(request)) and bool(super().has_view_permission(request, obj))  # type: ignore[misc]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return sees_all(request) and bool(super().has_add_permission(request))  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return sees_all(request) and bool(super().has_change_permission(request, obj))  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return sees_all(request) and bool(super().has_delete_permission(request, obj))  # type: ignore[misc]
