"""Customers: who they are, what they agreed to and when, and everything that was ever sent to them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin
from config.theme.paging import Bounded
from config.theme.tenancy import OfTenants
from config.theme.verbs import Verb, VerbForm, WithVerbs
from notifications import consent, privacy, reconciler
from notifications.admin.consents import ConsentEventInline, ConsentInline
from notifications.admin.masking import Masked, may_reveal
from notifications.admin.sent import Cursor, sent_to
from notifications.forms import OncePerTenant
from notifications.models import Channel, Customer
from notifications.rule_fields import ChannelsField

CHANGE = "notifications.change_customer"


class ConsentForm(VerbForm):
    """Nobody opts for somebody else without saying how it is known."""

    channel = forms.ChoiceField(label=gettext_lazy("Channel"), choices=Channel.choices)
    evidence = forms.CharField(
        label=gettext_lazy("Evidence"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("how it is known: the words that were used, the form, the call"),
    )


def opt_in(customer: Customer, request: HttpRequest, *, channel: str, evidence: str) -> Any:
    return _said(customer, request, channel, evidence, granted=True)


def opt_out(customer: Customer, request: HttpRequest, *, channel: str, evidence: str) -> Any:
    return _said(customer, request, channel, evidence, granted=False)


def _said(customer: Customer, request: HttpRequest, channel: str, evidence: str, *, granted: bool) -> Any:
    actor = request.user.get_username()
    return consent.record(customer, channel, granted, source=consent.Source.FORM, actor=actor, evidence=evidence)


VERBS = (
    Verb(
        "opt_in",
        gettext_lazy("Opt in"),
        CHANGE,
        opt_in,
        form=ConsentForm,
        explained=gettext_lazy("The customer wants messages by this channel."),
        icon="thumb_up",
    ),
    Verb(
        "opt_out",
        gettext_lazy("Opt out"),
        CHANGE,
        opt_out,
        form=ConsentForm,
        explained=gettext_lazy("The customer wants no messages by this channel. Those that are planned end."),
        grave=True,
        icon="thumb_down",
    ),
)


class CustomerForm(OncePerTenant, forms.ModelForm[Customer]):
    channels = ChannelsField(required=False, label=gettext_lazy("Channels"), help_text=gettext_lazy("as the rule"))

    class Meta:
        model = Customer
        fields = "__all__"  # noqa: DJ007  # the page names them


@admin.register(Customer)
class CustomerAdmin(OfTenants, Masked, WithVerbs, ModelAdmin[Customer]):
    form = CustomerForm
    verbs, chosen = VERBS, True
    personal = {"name": privacy.name, "email": privacy.email, "phone": privacy.phone, "external_id": privacy.nothing}
    personal |= {"webhook_url": privacy.address, "webhook_secret": privacy.nothing}
    list_display = ("name", "email", "phone", "locale", "time_zone")
    search_fields = ("name", "email", "external_id")
    ordering = ("-id",)
    paginator = Bounded
    show_full_result_count = False
    inlines = (ConsentInline, ConsentEventInline)

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        reconciler.replan(obj)  # a new address makes reminders possible, a removed one ends them

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.sent_view)
        return [path("<int:pk>/sent/", view, name="notifications_customer_sent"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        shown = {"page_part": "admin/notifications/customer/links.html"}
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **shown}
        return super().change_view(request, object_id, *args, **kwargs)

    def sent_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Everything ever sent to them, newest first, a page at a time."""
        if not self.has_view_permission(request) or not request.user.has_perm("notifications.view_delivery"):
            raise PermissionDenied
        customer = self.get_queryset(request).filter(pk=pk).first()
        if customer is None:
            raise Http404
        found = sent_to(customer, Cursor.read(request.GET.get("before", "")), reveal=may_reveal(request))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Everything sent to {customer}").format(customer=customer),
            "customer": customer,
            "found": found,
            "page": reverse("admin:notifications_customer_change", args=[pk]),
        }
        return TemplateResponse(request, "admin/notifications/customer/sent.html", context)
