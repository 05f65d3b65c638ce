"""What would have gone out, what lies in customers' inboxes, what providers told, and who is being left alone.

Read-only, but for one thing: a breaker can be closed by hand, when the provider is known to work again.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications.channels import breaker
from notifications.models import Breaker, InboxItem, OutboxMessage, ProviderEvent


class ReadOnly:
    """Rows that only the application writes."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnly, admin.ModelAdmin[OutboxMessage]):
    """The development providers' messages; HTML is shown as text, not run."""

    list_display = ("created_at", "channel", "to", "subject", "beginning", "key")
    list_filter = ("channel",)
    search_fields = ("to", "subject", "key")
    ordering = ("-id",)

    @admin.display(description="text")
    def beginning(self, row: OutboxMessage) -> str:
        return f"{row.text[:77]}..." if len(row.text) > 80 else row.text


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnly, admin.ModelAdmin[InboxItem]):
    list_display = ("created_at", "customer", "title", "level", "read_at", "archived_at", "expires_at")
    list_filter = ("level",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "title", "key")
    ordering = ("-id",)


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnly, admin.ModelAdmin[ProviderEvent]):
    list_display = ("at", "provider", "kind", "code", "delivery")
    list_filter = ("provider", "kind")
    list_select_related = ("delivery__rule",)
    search_fields = ("event_id",)
    ordering = ("-id",)


@admin.register(Breaker)
class BreakerAdmin(ReadOnly, admin.ModelAdmin[Breaker]):
    list_display = ("provider", "state", "failures", "successes", "opened_at")
    list_filter = ("state",)
    actions = ("close",)

    def has_close_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.change_breaker")

    @admin.action(description="Let messages through again", permissions=["close"])
    def close(self, request: HttpRequest, queryset: QuerySet[Breaker]) -> None:
        chosen = list(queryset)
        closed = breaker.close([row.provider for row in chosen])
        for row in chosen:
            self.log_change(request, row, "close")
        self.message_user(request, f"{closed} let through again.")
