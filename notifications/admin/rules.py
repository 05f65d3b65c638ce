"""Rules and their overrides. Saving one first shows what that does to what is booked and owed already.

The promise: nothing is saved that was not shown; when what it would do has changed since, it is shown again.
"""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import DurationField as DurationColumn, QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _, gettext_lazy

from config.theme.pages import ModelAdmin, StackedInline
from config.theme.tenancy import OfTenants, OnlyTheirs, within
from notifications import reconciler, rules
from notifications.admin.masking import Masked
from notifications.admin.undeletable import Undeletable
from notifications.forms import OncePerTenant
from notifications.models import Channel, ReminderRule, RuleOverride
from notifications.overrides import Overrides
from notifications.previews import Preview, foresee
from notifications.rule_fields import ChannelsField, DurationField, moment, said

IN_WORDS = {"channels": "goes_by", "offset": "when", "useful_for": "useful_told", "tolerance": "tolerance_told"}
IN_WORDS |= {"repeat_every": "repeat_told"}
SEEN = "_seen"  # the fingerprint of the preview that the person confirmed


class OverrideFormSet(BaseInlineFormSet[RuleOverride, ReminderRule, Any]):
    def clean(self) -> None:
        """Two answers to what applies are an error here, and not only in the database."""
        super().clean()
        rows = _after_saving(self)
        for row in rows:  # of the customer's tenant, if there is one; else as the rule
            row.tenant = row.customer.tenant if row.customer else row.tenant or self.instance.tenant
            if self.instance.tenant not in ("", row.tenant):
                raise ValidationError(_("The customer belongs to another tenant than the rule."))
        places = [(row.tenant, row.customer_id, row.service, row.location) for row in rows]
        if len(set(places)) < len(places):
            raise ValidationError(_("There are two overrides for the same customer, service and location."))


class HumanFields:
    """Durations as a number and a unit, channels as an order."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        about = {
            "label": capfirst(db_field.verbose_name),
            "help_text": db_field.help_text,
            "required": not db_field.blank,
        }
        if isinstance(db_field, DurationColumn):
            if db_field.has_default():
                about |= {"initial": db_field.get_default()}
            zero = None if db_field.null else timedelta()
            return DurationField(sides=db_field.name == "offset", empty=zero, **about)
        if db_field.name == "channels":
            initial = {"initial": db_field.get_default()} if not db_field.null else {}
            return ChannelsField(empty=None if db_field.null else (), **about, **initial)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]  # the admin's


class RuleForm(OncePerTenant, ModelForm[ReminderRule]):
    """A name is free within its tenant; and what the API refuses is refused here."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's: puts what was typed into the rule, and checks that
        if not self.errors:
            try:
                rules.check_together(self.instance)
            except ValidationError as exc:
                self.add_error(None, exc)


class RuleOverrideInline(OnlyTheirs, HumanFields, StackedInline[RuleOverride, ReminderRule]):
    model = RuleOverride
    fields = ("customer", "service", "location", "active", "offset", "at_time", "channels", "message", "useful_for")
    formset = OverrideFormSet
    extra = 0
    autocomplete_fields = ("customer",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuleOverride]:
        rows: QuerySet[RuleOverride] = within(request, super().get_queryset(request), shared=True)
        return rows


@admin.register(ReminderRule)
class ReminderRuleAdmin(OfTenants, HumanFields, Masked, Undeletable, ModelAdmin[ReminderRule]):
    list_display = ("name", "anchor", "when", "goes_by", "message", "active")
    list_filter = ("anchor", "active")
    search_fields = ("name",)
    form, shared, chosen = RuleForm, True, True
    inlines = (RuleOverrideInline,)
    fieldsets = (
        (None, {"fields": ("name", "active", "message", "level", "channels")}),
        (gettext_lazy("When"), {"fields": ("anchor", "offset", "at_time", "useful_for", "tolerance")}),
        (gettext_lazy("Quiet hours, by the customer's clocks"), {"fields": ("quiet_from", "quiet_until", "quiet")}),
        (gettext_lazy("Again, and not too often"), {"fields": ("repeat_every", "repeat_times", "per_day", "digest")}),
        (gettext_lazy("Not"), {"fields": ("unless_confirmed",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: ReminderRule | None = None) -> Any:
        """Who may only look reads words: -1 day, 0:00:00 and ["email"] are for nobody."""
        found = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        return [
            (title, {**about, "fields": [IN_WORDS.get(name, name) for name in about["fields"] if name != "at_time"]})
            for title, about in found
        ]

    @admin.display(description=gettext_lazy("useful for"))
    def useful_told(self, rule: ReminderRule) -> str:
        return said(rule.useful_for) if rule.useful_for else "-"

    @admin.display(description=gettext_lazy("tolerance"))
    def tolerance_told(self, rule: ReminderRule) -> str:
        return said(rule.tolerance) if rule.tolerance else "-"

    @admin.display(description=gettext_lazy("repeat every"))
    def repeat_told(self, rule: ReminderRule) -> str:
        return said(rule.repeat_every) if rule.repeat_every else "-"

    @admin.display(description=gettext_lazy("when"), ordering="offset")
    def when(self, rule: ReminderRule) -> str:
        return moment(rule.offset, rule.at_time)

    @admin.display(description=gettext_lazy("channels"))
    def goes_by(self, rule: ReminderRule) -> str:
        return ", ".join(str(Channel(name).label) for name in rule.channels)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReminderRule]:
        rows: QuerySet[ReminderRule] = super().get_queryset(request)
        return rows.filter(bulk__isnull=True)  # those have a page of their own

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "anchor":
            kwargs["choices"] = [pair for pair in db_field.choices if not str(pair[0]).startswith("bulk")]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

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
        reconciler.apply_rule.apply_async((form.instance.pk,), tenant=form.instance.tenant)
        self.message_user(request, _("Existing bookings and payments are being planned anew."))

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
            messages.warning(request, _("What it would do has changed since. Please look again."))
        posted = [(name, value) for name, values in request.POST.lists() for value in values]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What saving would do"),
            "preview": preview,
            "posted": [pair for pair in posted if pair[0] not in (SEEN, "csrfmiddlewaretoken")],
            "seen": SEEN,
        }
        return TemplateResponse(request, "admin/notifications/reminderrule/preview.html", context)


def _after_saving(formset: BaseInlineFormSet[RuleOverride, ReminderRule, Any]) -> list[RuleOverride]:
    gone = formset.deleted_forms
    kept = [form for form in formset.forms if form not in gone and (form.instance.pk or form.has_changed())]
    return [form.instance for form in kept]
