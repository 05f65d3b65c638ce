"""The owner's words, checked when they are saved: said with an example, in the form's own language.

The promise: words that would fail at eight in the morning fail here, with the part and the reason.
"""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html

from notifications import rendering, wording
from notifications.models import Booking, Customer, MessageTemplate, Payment
from notifications.wording import Words


def example(message: str, locale: str) -> dict[str, Any]:
    """Facts of a customer who is not stored. A message about payments is called payment_..., as ours are."""
    customer = Customer(pk=0, name="Alice Example", email="alice@example.com", locale=locale)
    if message.startswith("payment"):
        owed = {
            "subject": "Haircut",
            "amount": 4550,
            "currency": "EUR",
            "due_on": timezone.localdate() + timedelta(days=3),
        }
        return rendering.facts_of(Payment(pk=0, customer=customer, **owed), customer)
    starts_at: datetime = timezone.now() + timedelta(days=1)
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=1), "time_zone": customer.time_zone}
    booking = Booking(pk=0, customer=customer, service="Haircut", location="High Street 1", **times)
    return rendering.facts_of(booking, customer)


class MessageTemplateForm(forms.ModelForm[MessageTemplate]):
    class Meta:
        model = MessageTemplate
        fields = ("message", "channel", "locale", "subject", "text", "html")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        own = Words(data["subject"], data["text"], data["html"])
        for wrong in wording.check(data["channel"], own, example(data["message"], data["locale"])):
            part, _, why = wrong.partition(": ")
            self.add_error(part if part in self.fields else None, why or wrong)
        return data


@admin.register(MessageTemplate)
class MessageTemplateAdmin(admin.ModelAdmin[MessageTemplate]):
    form = MessageTemplateForm
    list_display = ("message", "channel", "locale", "changed_at")
    list_filter = ("channel", "locale")
    search_fields = ("message", "text")
    readonly_fields = ("as_it_reads",)
    fields = ("message", "channel", "locale", "subject", "text", "html", "as_it_reads")

    @admin.display(description="As it reads, with an example")
    def as_it_reads(self, row: MessageTemplate) -> str:
        if not row.pk:
            return "Save it first."
        try:
            said = Words(row.subject, row.text, row.html).say(example(row.message, row.locale))
        except wording.BadTemplate as exc:
            return str(exc)
        return format_html("<p><strong>{}</strong></p><pre>{}</pre>", said.subject, said.text)
