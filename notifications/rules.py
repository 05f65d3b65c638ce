"""Rules and their overrides: checked, saved, and what they are about planned anew by a job of the same transaction.

Called by the API. The promise: only what is named is written, and a rule whose message has no words is not saved.
"""

from copy import copy

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notifications import reconciler, wording
from notifications.models import MessageTemplate, ReminderRule, RuleOverride
from notifications.overrides import Overrides
from notifications.previews import Preview, foresee


def add(rule: ReminderRule) -> ReminderRule:
    """Raises IntegrityError for a name that there is already."""
    with transaction.atomic():
        rule.save(force_insert=True)
        reconciler.apply_rule.delay(rule.pk)
    return rule


def change(rule: ReminderRule, *names: str) -> ReminderRule:
    """Write these columns of a checked rule; the others stay as they are stored."""
    with transaction.atomic():
        values = {name: getattr(rule, name) for name in names}
        ReminderRule.objects.filter(pk=rule.pk).update(**values, changed_at=Now())
        rule.refresh_from_db()
        reconciler.apply_rule.delay(rule.pk)
    return rule


def check(rule: ReminderRule) -> None:
    """Raises ValidationError. Whether the name is taken is decided when it is written."""
    rule.clean_fields()
    rule.validate_constraints(exclude={"name"})
    _check_words(rule.message)


def put(override: RuleOverride) -> RuleOverride:
    """Make or change an override that is checked. Raises IntegrityError where there is one for the same."""
    with transaction.atomic():
        override.save()
        reconciler.apply_rule.delay(override.rule_id)
    return override


def drop(override: RuleOverride) -> bool:
    """False: it was dropped before."""
    with transaction.atomic():
        gone, _rows = RuleOverride.objects.filter(pk=override.pk).delete()
        if gone:
            reconciler.apply_rule.delay(override.rule_id)
    return bool(gone)


def check_override(override: RuleOverride) -> None:
    """Raises ValidationError."""
    override.clean_fields(exclude={"rule", "customer"})
    if override.customer_id is None and not override.service and not override.location:
        raise ValidationError(
            {"customer": _("Say for whom: a customer, a service or a location. For all, it is the rule.")}
        )
    if override.message:
        _check_words(override.message)


def after(rule: ReminderRule, override: RuleOverride, *, dropped: bool = False) -> Preview:
    """What it would do if `override` were put, or dropped. Looks at the override's tenant only, if it has one."""
    rows = [row for row in RuleOverride.objects.filter(rule=rule) if row.pk != override.pk or override.pk is None]
    about = copy(rule)
    about.tenant = override.tenant or rule.tenant
    return foresee(about, Overrides(rows if dropped else [*rows, override]))


def _check_words(message: str) -> None:
    if message not in wording.known() and not MessageTemplate.objects.filter(message=message).exists():
        told = _("There are no words for this message. Write a template of it first, or use one of: %s.")
        raise ValidationError({"message": told % ", ".join(sorted(wording.known()))})
