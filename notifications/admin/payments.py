"""Payments: their list, and the page of one with its series of reminders and all that can be done with it.

They change through `payments`, never by a raw save. Amounts are shown as the reader's language writes them.
"""

from zoneinfo import ZoneInfo

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from config.theme.pages import ModelAdmin, labelled
from config.theme.paging import Bounded
from config.theme.tenancy import OfTenants
from notifications import amounts, payments
from notifications.admin.by_verb import ByVerb
from notifications.admin.masking import Masked
from notifications.admin.payment_verbs import VERBS
from notifications.forms import PaymentForm
from notifications.models import Payment

OVERDUE = "overdue"  # no state of the ledger: the day has passed
LOOKS = {
    OVERDUE: "danger",
    Payment.Status.OPEN: "info",
    Payment.Status.PAID: "success",
    Payment.Status.CANCELLED: "danger",
    Payment.Status.DISPUTED: "warning",
    Payment.Status.WRITTEN_OFF: "danger",
    Payment.Status.REFUNDED: "warning",
}


@admin.register(Payment)
class PaymentAdmin(OfTenants, Masked, ByVerb, ModelAdmin[Payment]):
    make, change, verbs = staticmethod(payments.request_payment), staticmethod(payments.change), VERBS
    form, typed = PaymentForm, {"owed": "asked"}
    list_display = ("subject", "customer", "asked", "came_in", "due_on", "stands")
    list_filter = ("status", "due_on")
    list_select_related = ("customer",)
    paginator = Bounded
    search_fields = ("external_id", "subject", "customer__name", "customer__email")
    ordering = ("-id",)
    autocomplete_fields = ("customer", "booking")
    readonly_fields = ("status", "came_in", "given_back", "revision")
    fields = (
        ("customer", "booking"),
        ("subject", "external_id"),
        ("owed", "currency"),
        ("due_on", "time_zone"),
        ("status", "revision"),
        ("came_in", "given_back"),
        "seen",
    )

    @admin.display(description=gettext_lazy("amount"), ordering="amount")
    def asked(self, payment: Payment) -> str:
        return amounts.written(payment.amount, payment.currency)

    @admin.display(description=gettext_lazy("paid amount"), ordering="paid_amount")
    def came_in(self, payment: Payment) -> str:
        return amounts.written(payment.paid_amount, payment.currency) if payment.currency else "-"

    @admin.display(description=gettext_lazy("refunded amount"))
    def given_back(self, payment: Payment) -> str:
        return amounts.written(payment.refunded_amount, payment.currency) if payment.currency else "-"

    @labelled(gettext_lazy("status"), LOOKS, "status")
    def stands(self, payment: Payment) -> tuple[str, str]:
        today = timezone.now().astimezone(ZoneInfo(payment.time_zone)).date()
        if payment.status == Payment.Status.OPEN and payment.due_on < today:
            return OVERDUE, gettext("overdue")
        return payment.status, payment.get_status_display()
