"""The owner's words for messages: MessageTemplate rows, kept only if they can be said.

Called by the API. The promise: words that would fail at eight in the morning fail here, with the part and the reason.
"""

from collections import defaultdict

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from notifications import wording
from notifications.examples import example
from notifications.models import MessageTemplate
from notifications.wording import Words

PARTS = ("subject", "text", "html")


def add(template: MessageTemplate) -> MessageTemplate:
    """Raises ValidationError, and IntegrityError where there are words for the same."""
    check(template)
    with transaction.atomic():
        template.save(force_insert=True)
    return template


def change(template: MessageTemplate, **parts: str) -> MessageTemplate:
    """Other words for the same message. Deliveries that wait will say them: texts are written when they go out."""
    for name, value in parts.items():
        setattr(template, name, value)
    check(template)
    MessageTemplate.objects.filter(pk=template.pk).update(**parts, changed_at=Now())
    template.refresh_from_db()
    return template


def drop(template: MessageTemplate) -> bool:
    """The words that come with Punctual, or those for all tenants, are used again. False: it was dropped before."""
    return bool(MessageTemplate.objects.filter(pk=template.pk).delete()[0])


def check(template: MessageTemplate) -> None:
    """Said with an example, by the code that sends."""
    template.clean_fields(exclude={"changed_at"})
    told: dict[str, list[str]] = defaultdict(list)
    own = Words(template.subject, template.text, template.html, template.locale)
    for wrong in wording.check(template.channel, own, example(template.message, template.locale)):
        part, _colon, why = wrong.partition(": ")
        told[part if part in PARTS else "text"].append(why or wrong)
    if told:
        raise ValidationError(dict(told))
