"""Pages that only show: the rows are written by the application."""

from typing import Any

from django.http import HttpRequest

from config.theme.paging import Bounded


class ReadOnly:
    """Rows that only the application writes; there may be very many of them."""

    paginator: Any = Bounded
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
