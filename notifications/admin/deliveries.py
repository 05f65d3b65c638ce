"""Deliveries, and what people decide about them: withdraw, try again, say what became of one that is in doubt.

Nothing here changes a delivery itself: the verbs of `reconciler` and `doubts` do, and whatever they changed is kept in
the log with the name of who asked for it.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.many import OfMany
from config.theme.pages import ModelAdmin, labelled
from config.theme.paging import Bounded
from config.theme.tenancy import OfOnesTenants, OfTenants, within
from config.theme.verbs import WithVerbs
from jobs.ids import parsed
from notifications import doubts, privacy
from notifications.admin import report_mails
from notifications.admin.decisions import NothingDone
from notifications.admin.delivery_verbs import VERBS
from notifications.admin.finding import ByCustomer
from notifications.admin.masking import Masked, may_reveal
from notifications.admin.stories import LOOKS, happened
from notifications.admin.undeletable import Undeletable
from notifications.admin.written import written
from notifications.channels import CHANNELS
from notifications.channels.base import Message
from notifications.models import Channel, Delivery, ReportMail

MOST = 100  # doubts on a page
ABOUT = ("rule", "customer", "booking", "payment", "bulk", "digest")


@admin.register(Delivery)
class DeliveryAdmin(OfTenants, Masked, ByCustomer, Undeletable, OfMany, WithVerbs, ModelAdmin[Delivery]):
    personal = {"detail": privacy.text}
    verbs, refusals = VERBS, (NothingDone, ValueError)
    list_display = ("id", "customer", "rule", "channel", "stands", "reason", "doubts", "send_at", "sent_at")
    list_filter = ("state", "reason", "channel", ("rule", OfOnesTenants))
    list_select_related = ("customer", "rule")
    list_per_page = 50
    search_fields = ("customer__email", "customer__name", "provider_id")
    search_help_text = gettext_lazy("An id, a provider's id, or a customer's name or address (of the 200 newest)")
    ordering = ("-id",)
    paginator = Bounded
    fields = (
        ("rule", "channel"),
        ("customer", "occurrence"),
        ("booking", "payment"),
        ("state", "reason"),
        "detail",
        ("send_at", "useful_until", "moved_from"),
        ("intent_at", "sent_at"),
        ("outcome", "outcome_at"),
        ("doubts", "provider_id"),
        ("segments", "cost", "cost_currency"),
        ("fallback_of", "digest", "bulk"),
        "revision",
    )
    show_full_result_count = False

    @labelled(gettext_lazy("state"), LOOKS, "state")
    def stands(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.state, delivery.get_state_display()

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.doubts_view)
        return [path("doubts/", view, name="notifications_delivery_doubts"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        shown: dict[str, Any] = {"page_part": "admin/notifications/delivery/message.html"}
        row = self.get_queryset(request).select_related(*ABOUT).filter(pk=parsed(object_id)).first()
        if row is not None and self.has_view_permission(request, row):
            shown |= happened(request, row) | {"hidden": not may_reveal(request)}
            shown |= {} if shown["hidden"] else {"message": written(row)}
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **shown}
        return super().change_view(request, object_id, *args, **kwargs)

    def doubts_view(self, request: HttpRequest) -> HttpResponse:
        """What waits for somebody who knows, oldest first. It is decided on each one's own small form."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = list(within(request, doubts.in_doubt()).select_related(*ABOUT).order_by("intent_at", "pk")[: MOST + 1])
        asked = {channel: _provider(channel) for channel in {row.channel for row in rows}}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Deliveries in doubt"),
            "rows": [
                (row, asked[row.channel], self._happened(request, row), self.offered(request, row))
                for row in rows[:MOST]
            ],
            "cut": len(rows) > MOST,
            "mails": _mails(request),
            "next": request.path,
        }
        return TemplateResponse(request, "admin/notifications/delivery/doubts.html", context)

    def _happened(self, request: HttpRequest, row: Delivery) -> str:
        return row.detail if may_reveal(request) else privacy.text(row.detail)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # deliveries are made by rules

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False


def _provider(channel: str) -> str:
    """Whose log to look into; empty where it is the customer's own system, or nobody's."""
    if channel not in (Channel.EMAIL, Channel.SMS):
        return ""
    return CHANNELS[channel].provider(Message(to="", subject="", text=""))


def _mails(request: HttpRequest) -> int:
    """How many mails of reports are in doubt too; they have pages of their own."""
    if not request.user.has_perm("notifications.view_reportmail"):
        return 0
    return report_mails.seen(request).filter(state=ReportMail.State.IN_DOUBT)[:MOST].count()
