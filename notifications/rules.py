"""Rules and their overrides: checked, saved, and what they are about planned anew by a job of the same transaction.

Called by the API; the admin's form asks `check_together`. The promise: only what is named is written, and a rule whose
message has no words is not saved.
"""

from copy import copy

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notifications import reconciler, timing, wording
from notifications.models import Channel, ReminderRule, RuleOverride
from notifications.occurrences import EVENTS
from notifications.overrides import Overrides, changed
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
    check_together(rule)


def check_together(rule: ReminderRule) -> None:
    """What each column may say, and not beside the others. Raises ValidationError. One can always be switched off."""
    if rule.active:
        _check_times(rule)
        _check_words(rule)


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
    check_together(changed(override.rule, override))


def after(rule: ReminderRule, override: RuleOverride, *, dropped: bool = False) -> Preview:
    """What it would do if `override` were put, or dropped. Looks at the override's tenant only, if it has one."""
    rows = [row for row in RuleOverride.objects.filter(rule=rule) if row.pk != override.pk or override.pk is None]
    about = copy(rule)
    about.tenant = override.tenant or rule.tenant
    return foresee(about, Overrides(rows if dropped else [*rows, override]))


def _check_times(rule: ReminderRule) -> None:
    if rule.quiet_from is not None and rule.quiet_from == rule.quiet_until:
        told = _("Quiet hours that end when they begin are none: name two times, or leave both empty.")
        raise ValidationError({"quiet_until": told})
    if rule.anchor in EVENTS and rule.at_time is not None:
        raise ValidationError({"at_time": _("What happens has no time of day: say how long after it, and leave this.")})
    if rule.offset % timing.DAY and (rule.at_time is not None or rule.anchor == ReminderRule.Anchor.PAYMENT_DUE):
        raise ValidationError({"offset": _("With a time of day, and from a due date, whole days are counted.")})


def _check_words(rule: ReminderRule) -> None:
    if not (without := wording.unsaid(rule.message, rule.channels, rule.tenant)):
        return
    if len(without) < len(rule.channels):
        told = _("By %s this message has no words. Write a template of it first, or use another channel.")
        raise ValidationError({"channels": told % ", ".join(str(Channel(name).label) for name in without)})
    told = _("There are no words for this message. Write a template of it first, or use one of: %s.")
    raise ValidationError({"message": told % ", ".join(sorted(wording.known()))})
