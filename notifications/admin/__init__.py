"""The owner's screens. Bookings and payments change through their modules, never by a raw save, so that reminders
always follow; what became of them is shown as messages.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from notifications import bookings, payments, reconciler
from notifications.admin.consents import ConsentEventInline, ConsentInline, SuppressionAdmin as SuppressionAdmin
from notifications.admin.deliveries import DeliveryAdmin as DeliveryAdmin
from notifications.admin.outbox import OutboxMessageAdmin as OutboxMessageAdmin
from notifications.admin.rules import ReminderRuleAdmin as ReminderRuleAdmin
from notifications.admin.undeletable import Undeletable
from notifications.admin.words import MessageTemplateAdmin as MessageTemplateAdmin
from notifications.forms import BookingForm, PaymentForm
from notifications.models import Booking, Customer, Delivery, Payment


def show(admin_page: Any, request: HttpRequest, receipt: bookings.Receipt) -> None:
    """Tell what became of the reminders."""
    parts = {
        "planned": receipt.planned,
        "withdrawn": receipt.cancelled,
        "already sent": receipt.already_sent,
        "being sent at this moment": receipt.in_flight,
        "in doubt": receipt.in_doubt,
    }
    text = ", ".join(f"{len(deliveries)} {what}" for what, deliveries in parts.items() if deliveries)
    level = messages.WARNING if receipt.in_flight else messages.SUCCESS
    admin_page.message_user(request, f"Reminders: {text or 'nothing to change'}.", level)


class DeliveryInline(admin.TabularInline[Delivery, Any]):
    model = Delivery
    extra = 0
    can_delete = False
    show_change_link = True
    ordering = ("revision", "send_at")
    readonly_fields = fields = ("rule", "channel", "revision", "send_at", "state", "reason", "sent_at", "detail")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ByVerb(Undeletable):
    """Saves through the verbs of a module, in whose transaction the reminders follow."""

    make: Any
    change: Any

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if change:
            receipt = type(self).change(obj, **form.cleaned_data)
        else:
            made, receipt = type(self).make(**form.cleaned_data)
            obj.pk = made.pk
        show(self, request, receipt)
        obj.refresh_from_db()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]  # the admin's
        except bookings.NotOpen as exc:  # somebody cancelled or paid it while this page was open
            messages.error(request, str(exc))  # and nothing else: the page's transaction is undone
            return HttpResponseRedirect(request.get_full_path())
        return answer


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin[Customer]):
    list_display = ("name", "email", "phone", "locale", "time_zone")
    search_fields = ("name", "email", "external_id")
    inlines = (ConsentInline, ConsentEventInline)

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        reconciler.replan(obj)  # a new address makes reminders possible, a removed one ends them


@admin.register(Booking)
class BookingAdmin(ByVerb, admin.ModelAdmin[Booking]):
    make, change = staticmethod(bookings.book), staticmethod(bookings.change)
    form = BookingForm
    readonly_fields = ("status", "revision", "starts_at", "ends_at")
    fields = ("customer", "service", "location", "wall", "minutes", "time_zone", "external_id", *readonly_fields)
    list_display = ("service", "customer", "local_start", "time_zone", "status", "revision")
    list_filter = ("status", "starts_at")
    list_select_related = ("customer",)
    search_fields = ("external_id", "service", "customer__name", "customer__email")
    autocomplete_fields = ("customer",)
    date_hierarchy = "starts_at"
    inlines = (DeliveryInline,)
    actions = ("cancel",)

    @admin.action(description="Cancel the selected bookings", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Booking]) -> None:
        for booking in queryset:
            try:
                receipt = bookings.cancel(booking)
            except bookings.NotOpen as exc:
                self.message_user(request, str(exc), messages.ERROR)
                continue
            self.log_change(request, booking, "cancel")
            self.message_user(request, f"Cancelled: {booking}.")
            show(self, request, receipt)


@admin.register(Payment)
class PaymentAdmin(ByVerb, admin.ModelAdmin[Payment]):
    make, change = staticmethod(payments.request_payment), staticmethod(payments.change)
    form = PaymentForm
    list_display = ("subject", "customer", "amount", "paid_amount", "currency", "due_on", "status")
    list_filter = ("status", "currency", "due_on")
    list_select_related = ("customer",)
    search_fields = ("external_id", "subject", "customer__name", "customer__email")
    autocomplete_fields = ("customer", "booking")
    readonly_fields = ("status", "paid_amount", "revision")
    date_hierarchy = "due_on"
    inlines = (DeliveryInline,)
    actions = ("mark_paid", "cancel")

    @admin.action(description="Mark the selected payments as paid", permissions=["change"])
    def mark_paid(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        self._each(request, queryset, payments.mark_paid, "paid")

    @admin.action(description="Call the selected payments off", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        self._each(request, queryset, payments.cancel, "called off")

    def _each(self, request: HttpRequest, queryset: QuerySet[Payment], verb: Any, done: str) -> None:
        for payment in queryset:
            try:
                receipt = verb(payment)
            except bookings.NotOpen as exc:
                self.message_user(request, str(exc), messages.ERROR)
                continue
            self.log_change(request, payment, done)
            self.message_user(request, f"{payment}: {done}.")
            show(self, request, receipt)
