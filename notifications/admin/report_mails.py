"""Mails of reports: what became of each, and what a person decides about one that is in doubt.

Nothing here changes a mail itself: the verb of `mail_ends` does, and it is in the log with who asked for it. The
promise: one sees the mails of the reports that one sees.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from config.theme.pages import ModelAdmin, TabularInline, labelled
from config.theme.readonly import ReadOnly
from config.theme.tenancy import OfTenants
from config.theme.verbs import Verb, WithVerbs
from jobs import scopes
from notifications.admin.decisions import RESOLVE, KnownForm, NothingDone, decided, held
from notifications.admin.stories import LOOKS
from notifications.models import Report, ReportMail
from notifications.reports import mail_ends, reports, sections

VERBS = (
    Verb(
        "arrived",
        _("It arrived"),
        RESOLVE,
        decided(mail_ends.resolve, "sent"),
        held,
        KnownForm,
        _("Whoever it was for has it, or the mail server took it. The doubt is closed."),
        icon="check",
    ),
    Verb(
        "send_again",
        _("Send it again"),
        RESOLVE,
        decided(mail_ends.resolve, "resend"),
        held,
        KnownForm,
        _("It may arrive twice. It goes out only if whoever it is for may still see the report."),
        grave=True,
        icon="repeat",
    ),
)


def seen(request: HttpRequest) -> QuerySet[ReportMail]:
    """Those of the reports that one sees."""
    scope = scopes.of(request.user)
    whole = reports.covers(scope, "")
    return ReportMail.objects.all() if whole else ReportMail.objects.filter(report__in=reports.of_scope(scope))


class Mails(TabularInline[ReportMail, Report]):
    model = ReportMail
    fields = readonly_fields = ("user", "page", "intent_at", "sent_at", "detail")
    extra = 0
    can_delete = False
    hide_title = True
    verbose_name_plural = _("mails")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportMail]:
        return super().get_queryset(request).select_related("user")

    @admin.display(description=_("state"))
    def page(self, mail: ReportMail) -> SafeString:
        """Where it is decided what became of it."""
        url = reverse("admin:notifications_reportmail_change", args=[mail.pk])
        return format_html('<a class="underline" href="{}">{}</a>', url, mail.get_state_display())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ReportMail)
class ReportMailAdmin(OfTenants, ReadOnly, WithVerbs, ModelAdmin[ReportMail]):
    tenant = "report__tenant"
    verbs, refusals = VERBS, (NothingDone, ValueError)
    list_display = ("about", "user", "stands", "intent_at", "sent_at", "detail")
    list_display_links = ("about",)
    list_filter = ("state",)
    list_select_related = ("report", "user")
    list_per_page = 50
    search_fields = ("=user__username",)
    search_help_text = _("The name of whoever it was for")
    ordering = ("-id",)
    fields = readonly_fields = ("report", "user", "state", "intent_at", "sent_at", "detail")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportMail]:
        return super().get_queryset(request) & seen(request)  # type: ignore[no-any-return]

    @admin.display(description=_("report"))
    def about(self, mail: ReportMail) -> str:
        return sections.title(reports.period_of(mail.report))

    @labelled(_("state"), LOOKS, "state")
    def stands(self, mail: ReportMail) -> tuple[str, str]:
        return mail.state, mail.get_state_display()
