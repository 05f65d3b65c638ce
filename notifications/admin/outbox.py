"""What would have gone out, what lies in customers' inboxes, what providers told, and who is being left alone.

Read-only, but for one thing: a breaker can be closed by hand, when the provider is known to work again.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin
from config.theme.readonly import ReadOnly
from config.theme.tenancy import OfTenants, OfTheInstallation
from notifications import privacy
from notifications.admin.masking import Masked, may_reveal
from notifications.channels import breaker, segments
from notifications.models import Breaker, Channel, Delivery, InboxItem, OutboxMessage, ProviderEvent


@admin.register(OutboxMessage)
class OutboxMessageAdmin(OfTheInstallation, Masked, ReadOnly, ModelAdmin[OutboxMessage]):
    """The development providers' messages; HTML is shown in a frame that runs and loads nothing."""

    change_form_outer_before_template = "admin/notifications/outboxmessage/message.html"
    fields = ("created_at", "channel", "to", "key")

    personal = {"to": privacy.address} | dict.fromkeys(("subject", "text", "html", "beginning"), privacy.nothing)
    list_display = ("created_at", "channel", "to", "subject", "beginning", "key")
    list_filter = ("channel",)
    search_fields = ("to", "subject", "key")
    ordering = ("-id",)

    @admin.display(description=gettext_lazy("text"))
    def beginning(self, row: OutboxMessage) -> str:
        return f"{row.text[:77]}..." if len(row.text) > 80 else row.text

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.get_object(request, object_id)
        shown: dict[str, Any] = {"hidden": not may_reveal(request)}
        if row is not None and row.channel == Channel.SMS:
            shown |= {"parts": segments.count(row.text), "alphabet": "GSM" if segments.is_gsm(row.text) else "Unicode"}
        if row is not None and _delivery(row.key):
            shown["delivery"] = reverse("admin:notifications_delivery_change", args=[row.key])
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **shown}
        return super().change_view(request, object_id, *args, **kwargs)


def _delivery(key: str) -> bool:
    """Whether it is one's message; a test has a key of its own."""
    try:
        return Delivery.objects.filter(pk=UUID(key)).exists()
    except ValueError:
        return False


@admin.register(InboxItem)
class InboxItemAdmin(OfTenants, Masked, ReadOnly, ModelAdmin[InboxItem]):
    tenant = "customer__tenant"
    personal = dict.fromkeys(("title", "body", "metadata"), privacy.nothing)
    list_display = ("created_at", "customer", "title", "level", "read_at", "archived_at", "expires_at")
    list_filter = ("level",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "title", "key")
    ordering = ("-id",)


class OfAnyMessage:
    """An event is of the tenant of its delivery or of its direct message."""

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)  # type: ignore[misc]  # the admin's
        return rows.annotate(whose=Coalesce("delivery__tenant", "direct__tenant"))


@admin.register(ProviderEvent)
class ProviderEventAdmin(OfTenants, OfAnyMessage, ReadOnly, ModelAdmin[ProviderEvent]):
    tenant = "whose"
    list_display = ("at", "provider", "kind", "code", "delivery", "direct")
    list_filter = ("provider", "kind")
    list_select_related = ("delivery__rule", "direct")
    search_fields = ("event_id",)
    ordering = ("-id",)


@admin.register(Breaker)
class BreakerAdmin(OfTheInstallation, ReadOnly, ModelAdmin[Breaker]):
    list_display = ("provider", "state", "failures", "successes", "opened_at")
    list_filter = ("state",)
    actions = ("close",)

    def has_close_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.change_breaker")

    @admin.action(description=gettext_lazy("Let messages through again"), permissions=["close"])
    def close(self, request: HttpRequest, queryset: QuerySet[Breaker]) -> None:
        chosen = list(queryset)
        closed = breaker.close([row.provider for row in chosen])
        for row in chosen:
            self.log_change(request, row, "close")
        self.message_user(request, _("%d let through again.") % closed)
