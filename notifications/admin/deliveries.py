"""Deliveries, and what people decide about them: withdraw, try again, say what became of one that is in doubt.

Nothing here changes a delivery itself: the verbs of `reconciler` and `doubts` do, and whatever they changed is kept in
the log with the name of who asked for it.
"""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications import doubts, reconciler
from notifications.admin.undeletable import Undeletable
from notifications.models import Delivery


class WithReason(ActionForm):
    reason = forms.CharField(required=False, max_length=300, help_text="how it is known, for doubts")


@admin.register(Delivery)
class DeliveryAdmin(Undeletable, admin.ModelAdmin[Delivery]):
    list_display = ("id", "customer", "rule", "channel", "state", "reason", "doubts", "send_at", "sent_at")
    list_filter = ("state", "reason", "channel", "rule")
    list_select_related = ("customer", "rule")
    search_fields = ("customer__email", "customer__name", "provider_id")
    ordering = ("-id",)
    actions = ("withdraw", "resend", "was_sent", "was_not_sent", "send_again")
    action_form = WithReason
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # deliveries are made by rules

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.cancel_delivery")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.retry_delivery")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("notifications.resolve_delivery")

    @admin.action(description="Doubt: it was sent", permissions=["resolve"])
    def was_sent(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._resolve(request, queryset, "sent")

    @admin.action(description="Doubt: it was not sent (another channel takes over)", permissions=["resolve"])
    def was_not_sent(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._resolve(request, queryset, "not_sent")

    @admin.action(description="Doubt: send it again, even if it may arrive twice", permissions=["resolve"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        self._resolve(request, queryset, "resend")

    def _resolve(self, request: HttpRequest, queryset: QuerySet[Delivery], outcome: str) -> None:
        reason = str(request.POST.get("reason", "")).strip()
        if not reason:
            self.message_user(request, "Say in the field beside the action how you know.", messages.ERROR)
            return
        chosen = list(queryset)
        resolved = [one for one in chosen if doubts.resolve([one.pk], outcome, str(request.user), reason)]
        for delivery in resolved:
            self.log_change(request, delivery, f"{outcome}: {reason}")
        left = len(chosen) - len(resolved)
        self.message_user(request, f"{len(resolved)} resolved." + (f" {left} were not in doubt." if left else ""))

    @admin.action(description="Withdraw the selected deliveries", permissions=["cancel"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        chosen = list(queryset)
        taken = reconciler.withdraw([delivery.pk for delivery in chosen], str(request.user))
        for delivery in chosen:
            self.log_change(request, delivery, "withdraw")
        self.message_user(request, f"{taken} withdrawn, {len(chosen) - taken} were not waiting any more.")

    @admin.action(description="Try the selected deliveries again", permissions=["retry"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        chosen = list(queryset)
        again = reconciler.resend([delivery.pk for delivery in chosen], str(request.user))
        for delivery in chosen:
            self.log_change(request, delivery, "resend")
        left = len(chosen) - again
        rest = (
            f" {left} left alone: only refused or withdrawn ones whose time has come are tried again." if left else ""
        )
        self.message_user(request, f"{again} tried again.{rest}")
