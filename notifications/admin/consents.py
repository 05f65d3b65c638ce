"""What customers agreed to, with its story, and the addresses to leave alone. Changed through `consent`."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from config.theme.pages import ModelAdmin, TabularInline
from config.theme.readonly import ReadOnly
from config.theme.tenancy import OfTenants, tenants_of, within
from notifications import consent, privacy
from notifications.admin.masking import Masked
from notifications.models import Consent, ConsentEvent, Customer, Suppression


class ReadOnlyInline:
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConsentInline(ReadOnlyInline, TabularInline[Consent, Customer]):
    model = Consent
    readonly_fields = fields = ("channel", "granted", "changed_at")


class ConsentEventInline(Masked, ReadOnlyInline, TabularInline[ConsentEvent, Customer]):
    model = ConsentEvent
    personal = {"actor": privacy.text, "evidence": privacy.nothing}
    readonly_fields = fields = ("at", "channel", "granted", "source", "actor", "evidence")


@admin.register(ConsentEvent)
class ConsentEventAdmin(OfTenants, Masked, ReadOnly, ModelAdmin[ConsentEvent]):
    """The evidence of all customers, newest first."""

    tenant = "customer__tenant"
    personal = {"actor": privacy.text, "evidence": privacy.nothing}
    list_display = ("at", "customer", "channel", "granted", "source", "actor")
    list_filter = ("channel", "granted", "source")
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")


@admin.register(Suppression)
class SuppressionAdmin(Masked, ModelAdmin[Suppression]):
    """Addresses, which are nobody's: whoever has some tenants sees those of their customers, and leaves them alone."""

    personal = {"address": privacy.address, "detail": privacy.text}
    list_display = ("address", "channel", "cause", "detail", "at")
    list_filter = ("channel", "cause")
    search_fields = ("address",)
    fields = ("channel", "address", "cause", "detail")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Suppression]:
        rows = super().get_queryset(request)
        if tenants_of(request) is None:
            return rows
        return rows.filter(pk__in=consent.barred(within(request, Customer.objects.all())).values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return tenants_of(request) is None and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        return False  # added or lifted, never rewritten

    def has_delete_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        return tenants_of(request) is None and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        consent.suppress(obj.channel, obj.address, obj.cause, obj.detail or f"by {request.user}")
        address = consent.normalised(obj.channel, obj.address)
        obj.pk = Suppression.objects.get(channel=obj.channel, address=address).pk

    def delete_model(self, request: HttpRequest, obj: Suppression) -> None:
        consent.lift(obj.channel, obj.address)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        for row in queryset:
            consent.lift(row.channel, row.address)
