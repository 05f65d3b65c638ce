"""The owner's words, checked when they are saved: said with an example, in the form's own language.

The promise: words that would fail at eight in the morning fail here, with the part and the reason. A page of their own
shows them with a real booking or payment, and sends them as a test.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _, gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from config.theme.pages import ModelAdmin
from config.theme.readonly import ReadOnly
from config.theme.tenancy import OfTenants, within
from notifications import privacy, trials, wording
from notifications.admin import beginnings
from notifications.admin.masking import Masked, may_reveal
from notifications.channels import segments
from notifications.channels.base import Message
from notifications.examples import example
from notifications.forms import OncePerTenant
from notifications.models import Booking, Channel, Delivery, MessageTemplate, Payment, Trial
from notifications.wording import Words

PERMISSION = "notifications.try_messagetemplate"


class MessageTemplateForm(OncePerTenant, forms.ModelForm[MessageTemplate]):
    class Meta:
        model = MessageTemplate
        fields = ("tenant", "message", "channel", "locale", "subject", "text", "html")
        widgets = {"subject": UnfoldAdminTextInputWidget()}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        own = Words(data["subject"], data["text"], data["html"])
        for wrong in wording.check(data["channel"], own, example(data["message"], data["locale"])):
            part, _colon, why = wrong.partition(": ")
            self.add_error(part if part in self.fields else None, why or wrong)
        return data


def _chooser(name: str) -> AutocompleteSelect:
    return AutocompleteSelect(Delivery._meta.get_field(name), admin.site)


class AboutForm(forms.Form):
    """With which booking or payment the words are said: one of them."""

    booking = forms.ModelChoiceField(
        Booking.objects.select_related("customer"), required=False, label=gettext_lazy("Booking")
    )
    payment = forms.ModelChoiceField(
        Payment.objects.select_related("customer", "booking"), required=False, label=gettext_lazy("Payment")
    )

    def __init__(self, request: HttpRequest, template: MessageTemplate, data: Any) -> None:
        super().__init__(data)
        for name in ("booking", "payment"):
            rows = within(request, self.fields[name].queryset)  # type: ignore[attr-defined]
            self.fields[name].queryset = rows.filter(tenant=template.tenant) if template.tenant else rows  # type: ignore[attr-defined]
            if request.user.has_perm(f"notifications.view_{name}"):
                self.fields[name].widget = _chooser(name)
                self.fields[name].widget.choices = self.fields[name].choices  # type: ignore[attr-defined]
            else:
                del self.fields[name]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        found = [data[name] for name in ("booking", "payment") if data.get(name)]
        if len(found) > 1:
            raise forms.ValidationError(_("Choose a booking or a payment, not both."))
        return data | {"anchor": found[0] if found else None}


@admin.register(MessageTemplate)
class MessageTemplateAdmin(OfTenants, ModelAdmin[MessageTemplate]):
    form, shared, chosen = MessageTemplateForm, True, True
    list_display = ("message", "channel", "locale", "changed_at")
    list_filter = ("channel", "locale")
    search_fields = ("message", "text")
    readonly_fields = ("begin_with_ours", "placeholders", "as_it_reads")
    fields = (
        "begin_with_ours",
        "message",
        "channel",
        "locale",
        "subject",
        "text",
        "placeholders",
        "html",
        "as_it_reads",
    )

    def get_fields(self, request: HttpRequest, obj: MessageTemplate | None = None) -> list[Any]:
        """What exists has begun; what does not cannot be read."""
        left_out = "begin_with_ours" if obj else "as_it_reads"
        return [name for name in super().get_fields(request, obj) if name != left_out]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        asked: dict[str, Any] = super().get_changeform_initial_data(request)
        return beginnings.initial(asked) | asked

    @admin.display(description=gettext_lazy("Begin with ours"))
    def begin_with_ours(self, row: MessageTemplate) -> str:
        return beginnings.links()

    @admin.display(description=gettext_lazy("What may be said, with an example"))
    def placeholders(self, row: MessageTemplate) -> str:
        return beginnings.placeholders(row.message if row.pk else "", row.locale)

    @admin.display(description=gettext_lazy("As it reads, with an example"))
    def as_it_reads(self, row: MessageTemplate) -> str:
        try:
            said = Words(row.subject, row.text, row.html).say(example(row.message, row.locale))
        except wording.BadTemplate as exc:
            return str(exc)
        url, real = (
            reverse("admin:notifications_messagetemplate_try", args=[row.pk]),
            _("With a real booking, or as a test"),
        )
        page = '<p><strong>{}</strong></p><pre>{}</pre><p><a href="{}">{}</a></p>'
        return format_html(page, said.subject, said.text, url, real)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.try_view)
        return [path("<int:pk>/try/", view, name="notifications_messagetemplate_try"), *super().get_urls()]

    def try_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET shows it with the chosen booking or payment; POST sends it as a test. Never inside a transaction."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        template = self.get_queryset(request).filter(pk=pk).first()
        if template is None:
            raise Http404
        form = AboutForm(request, template, request.GET or None)
        anchor = form.cleaned_data["anchor"] if form.is_bound and form.is_valid() else None
        if request.method == "POST":
            return self._send(request, template, anchor)
        shown: dict[str, Any] = {}
        if anchor is not None and may_reveal(request):
            try:
                shown["said"] = said = trials.written(template, anchor)
                shown["length"] = _length(template.channel, said)
            except wording.BadTemplate as exc:
                shown["problem"] = str(exc)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("{template} as it reads").format(template=template),
            "template": template,
            "form": form,
            "media": self.media + form.media,
            "hidden": anchor is not None and not may_reveal(request),
            "may_send": request.user.has_perm(PERMISSION) and template.channel != Channel.INBOX,
            **shown,
        }
        return TemplateResponse(request, "admin/notifications/messagetemplate/try.html", context)

    def _send(self, request: HttpRequest, template: MessageTemplate, anchor: Booking | Payment | None) -> HttpResponse:
        user = request.user
        if not user.has_perm(PERMISSION) or not user.is_authenticated:
            raise PermissionDenied
        if anchor is None:
            messages.error(request, _("Choose a booking or a payment first."))
            return HttpResponseRedirect(request.get_full_path())
        if not may_reveal(request):  # the test would tell who it is about
            raise PermissionDenied
        try:
            trial = trials.send(template, anchor, request.POST.get("address", ""), user)
        except (ValueError, trials.TooMany, wording.BadTemplate) as exc:
            messages.error(request, str(exc))
        else:
            self.log_change(request, template, f"test {trial.pk} by {trial.channel}: {trial.answer}")
            messages.info(request, _("Test to {address}: {answer}").format(address=trial.address, answer=trial.answer))
        return HttpResponseRedirect(request.get_full_path())


def _length(channel: str, said: Message) -> str:
    if channel != Channel.SMS:
        return ""
    parts, alphabet = segments.count(said.text), "GSM" if segments.is_gsm(said.text) else "Unicode"
    return _("{length} characters, {parts} SMS ({alphabet})").format(
        length=len(said.text), parts=parts, alphabet=alphabet
    )


@admin.register(Trial)
class TrialAdmin(OfTenants, Masked, ReadOnly, ModelAdmin[Trial]):
    """Tests that were sent, and what was answered."""

    personal = {"address": privacy.address, "answer": privacy.text}
    list_display = ("at", "actor", "message", "channel", "address", "answer")
    list_filter = ("channel",)
    search_fields = ("address", "actor", "message")
    ordering = ("-id",)
