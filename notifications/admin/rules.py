"""Rules and their overrides. Saving one first shows what that does to what is booked and owed already.

The promise: nothing is saved that was not shown; when what it would do has changed since, it is shown again.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from notifications import reconciler
from notifications.admin.undeletable import Undeletable
from notifications.models import ReminderRule, RuleOverride
from notifications.overrides import Overrides
from notifications.previews import Preview, foresee

SEEN = "_seen"  # the fingerprint of the preview that the person confirmed


class OverrideFormSet(BaseInlineFormSet[RuleOverride, ReminderRule, Any]):
    def clean(self) -> None:
        """Two answers to what applies are an error here, and not only in the database."""
        super().clean()
        places = [(row.customer_id, row.service, row.location) for row in _after_saving(self)]
        if len(set(places)) < len(places):
            raise ValidationError("There are two overrides for the same customer, service and location.")


class RuleOverrideInline(admin.TabularInline[RuleOverride, ReminderRule]):
    model = RuleOverride
    formset = OverrideFormSet
    extra = 0
    autocomplete_fields = ("customer",)


@admin.register(ReminderRule)
class ReminderRuleAdmin(Undeletable, admin.ModelAdmin[ReminderRule]):
    list_display = ("name", "anchor", "offset", "at_time", "channels", "message", "active")
    list_filter = ("anchor", "active")
    search_fields = ("name",)
    inlines = (RuleOverrideInline,)
    fieldsets = (
        (None, {"fields": ("name", "active", "message", "level", "channels")}),
        ("When", {"fields": ("anchor", "offset", "at_time", "useful_for", "tolerance")}),
        ("Quiet hours, by the customer's clocks", {"fields": ("quiet_from", "quiet_until", "quiet")}),
        ("Again, and not too often", {"fields": ("repeat_every", "repeat_times", "per_day", "digest")}),
        ("Not", {"fields": ("unless_confirmed",)}),
    )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "POST" and (preview := self._preview(request, object_id)):
            seen = request.POST.get(SEEN)
            if preview.changes and seen != preview.fingerprint:
                return self._show(request, preview, again=bool(seen))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        # A row of this transaction: the rule, its overrides and their consequences go together.
        reconciler.apply_rule.delay(form.instance.pk)
        self.message_user(request, "Existing bookings and payments are being planned anew.")

    def _preview(self, request: HttpRequest, object_id: str | None) -> Preview | None:
        """What saving the posted form would do. None where it would not be saved: the form itself says why."""
        stored = self.get_object(request, object_id) if object_id else None
        allowed = self.has_change_permission(request, stored) if object_id else self.has_add_permission(request)
        if not allowed or (object_id and stored is None):
            return None
        form: ModelForm[ReminderRule] = self.get_form(request, stored, change=bool(object_id))(
            request.POST, instance=stored
        )
        if not form.is_valid():
            return None
        rule = form.save(commit=False)
        for make, inline in self.get_formsets_with_inlines(request, stored):
            formset = make(
                request.POST, instance=rule, prefix=make.get_default_prefix(), queryset=inline.get_queryset(request)
            )
            if formset.is_valid():
                return foresee(rule, Overrides(_after_saving(formset)))
        return None

    def _show(self, request: HttpRequest, preview: Preview, *, again: bool) -> TemplateResponse:
        if again:
            messages.warning(request, "What it would do has changed since. Please look again.")
        posted = [(name, value) for name, values in request.POST.lists() for value in values]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What saving would do",
            "preview": preview,
            "posted": [pair for pair in posted if pair[0] not in (SEEN, "csrfmiddlewaretoken")],
            "seen": SEEN,
        }
        return TemplateResponse(request, "admin/notifications/reminderrule/preview.html", context)


def _after_saving(formset: BaseInlineFormSet[RuleOverride, ReminderRule, Any]) -> list[RuleOverride]:
    gone = formset.deleted_forms
    kept = [form for form in formset.forms if form not in gone and (form.instance.pk or form.has_changed())]
    return [form.instance for form in kept]
