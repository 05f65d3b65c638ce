"""Messages to a single recipient: what became of them, and what a person decides about one.

Nothing here changes a message itself: the verbs of `direct_ends` do, and each is in the log with who asked for it.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, gettext_lazy as _

from config.theme.pages import ModelAdmin
from config.theme.paging import Bounded
from config.theme.tenancy import OfTenants
from config.theme.verbs import Verb, WithVerbs
from jobs.ids import parsed
from notifications import direct_ends, privacy
from notifications.admin.decisions import RESOLVE, KnownForm, NothingDone, decided, held, insist
from notifications.admin.delivery_verbs import CANCEL
from notifications.admin.masking import Masked
from notifications.admin.stories import happened
from notifications.admin.undeletable import Undeletable
from notifications.models import Delivery, DirectMessage

State = Delivery.State


def _withdraw(message: DirectMessage, request: HttpRequest) -> None:
    insist(direct_ends.withdraw([message.pk], str(request.user)), gettext("It does not wait any more."))


VERBS = (
    Verb("was_sent", _("It was sent"), RESOLVE, decided(direct_ends.resolve, "sent"), held, KnownForm, icon="check"),
    Verb(
        "was_not_sent",
        _("It was not sent"),
        RESOLVE,
        decided(direct_ends.resolve, "not_sent"),
        held,
        KnownForm,
        icon="close",
    ),
    Verb(
        "send_again",
        _("Send it again"),
        RESOLVE,
        decided(direct_ends.resolve, "resend"),
        held,
        KnownForm,
        _("It may arrive twice."),
        grave=True,
        icon="repeat",
    ),
    Verb(
        "withdraw",
        _("Withdraw"),
        CANCEL,
        _withdraw,
        lambda message: message.state == State.PLANNED,
        explained=_("It will not go out."),
        grave=True,
        icon="block",
    ),
)


@admin.register(DirectMessage)
class DirectMessageAdmin(OfTenants, Masked, Undeletable, WithVerbs, ModelAdmin[DirectMessage]):
    personal = {"address": privacy.address, "detail": privacy.text} | dict.fromkeys(
        ("subject", "text"), privacy.nothing
    )
    verbs, refusals = VERBS, (NothingDone, ValueError)
    list_display = ("id", "customer", "channel", "state", "outcome", "reason", "doubts", "by", "send_at", "sent_at")
    list_filter = ("state", "outcome", "channel")
    list_select_related = ("customer",)
    search_fields = ("provider_id", "by")
    ordering = ("-id",)
    paginator = Bounded
    show_full_result_count = False
    fields = readonly_fields = (
        "channel",
        "customer",
        "address",
        "message",
        "subject",
        "text",
        "level",
        "by",
        "state",
        "reason",
        "detail",
        "send_at",
        "useful_until",
        "intent_at",
        "sent_at",
        "outcome",
        "outcome_at",
        "doubts",
        "provider_id",
    )

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = self.get_queryset(request).filter(pk=parsed(object_id)).first()
        shown: dict[str, Any] = {"page_part": "admin/notifications/happened.html"}
        if row is not None and self.has_view_permission(request, row):
            shown |= happened(request, row)
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **shown}
        return super().change_view(request, object_id, *args, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
