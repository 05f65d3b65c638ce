"""What customers agreed to, with its story, and the addresses to leave alone. Changed through `consent`."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications import consent
from notifications.models import Consent, ConsentEvent, Customer, Suppression


class ReadOnlyInline:
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConsentInline(ReadOnlyInline, admin.TabularInline[Consent, Customer]):
    model = Consent
    readonly_fields = fields = ("channel", "granted", "changed_at")


class ConsentEventInline(ReadOnlyInline, admin.TabularInline[ConsentEvent, Customer]):
    model = ConsentEvent
    readonly_fields = fields = ("at", "channel", "granted", "source", "actor", "evidence")


@admin.register(Suppression)
class SuppressionAdmin(admin.ModelAdmin[Suppression]):
    list_display = ("address", "channel", "cause", "detail", "at")
    list_filter = ("channel", "cause")
    search_fields = ("address",)
    fields = ("channel", "address", "cause", "detail")

    def has_change_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        return False  # added or lifted, never rewritten

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        consent.suppress(obj.channel, obj.address, obj.cause, obj.detail or f"by {request.user}")
        address = consent.normalised(obj.channel, obj.address)
        obj.pk = Suppression.objects.get(channel=obj.channel, address=address).pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        consent.lift(obj.channel, obj.address)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        for row in queryset:
            consent.lift(row.channel, row.address)
