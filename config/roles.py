"""Viewer, Operator, Manager: the groups that are shipped, as data, and `install`, which makes those that are missing.

Called by `manage.py prepare`. The promise: a group that is there is left as its owner made it, so a second run changes
nothing. Each role may do what the one before it may.
"""

from collections.abc import Collection

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

VIEWED = ("jobs", "notifications", "django_celery_beat", "django_celery_results")

OPERATOR = (
    "jobs.cancel_job",
    "jobs.retry_job",
    "jobs.postpone_job",
    "jobs.reprioritise_job",
    "jobs.pause_queue",
    "notifications.add_booking",
    "notifications.change_booking",
    "notifications.add_payment",
    "notifications.change_payment",
    "notifications.add_customer",
    "notifications.change_customer",  # but for what is masked
    "notifications.cancel_delivery",
    "notifications.retry_delivery",
    "notifications.resolve_delivery",
    "notifications.send_directmessage",
    "notifications.add_report",
)
MANAGER = (
    "jobs.reveal_job",
    "jobs.change_clock",
    "jobs.change_queue",
    "jobs.scale_queue",
    "jobs.add_job",
    "jobs.delete_job",
    "jobs.add_export",
    "jobs.add_apikey",
    "jobs.revoke_apikey",
    "jobs.add_keylimit",
    "jobs.change_keylimit",
    "jobs.delete_keylimit",
    "jobs.add_taskrate",
    "jobs.change_taskrate",
    "jobs.delete_taskrate",
    "jobs.add_schedulepolicy",
    "jobs.change_schedulepolicy",
    "jobs.delete_schedulepolicy",
    *(
        f"django_celery_beat.{verb}_{model}"
        for model in ("periodictask", "crontabschedule", "intervalschedule", "clockedschedule", "solarschedule")
        for verb in ("add", "change", "delete")
    ),
    "notifications.reveal_customer",
    "notifications.add_reminderrule",
    "notifications.change_reminderrule",
    "notifications.add_ruleoverride",
    "notifications.change_ruleoverride",
    "notifications.delete_ruleoverride",
    "notifications.add_messagetemplate",
    "notifications.change_messagetemplate",
    "notifications.delete_messagetemplate",
    "notifications.try_messagetemplate",
    "notifications.run_bulkchange",
    "notifications.add_suppression",
    "notifications.delete_suppression",
    "notifications.change_breaker",
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
    "auth.view_group",
    "axes.view_accessattempt",
    "axes.delete_accessattempt",
)
ROLES = {"Viewer": (), "Operator": OPERATOR, "Manager": (*OPERATOR, *MANAGER)}


def permissions_of(role: str) -> "QuerySet[Permission]":
    """Raises LookupError for a permission that there is not: a typing error above, or no migration yet."""
    named = ROLES[role]
    found = _named(named)
    if missing := set(named) - {f"{one.content_type.app_label}.{one.codename}" for one in found}:
        raise LookupError(f"No such permission: {', '.join(sorted(missing))}")
    return Permission.objects.filter(
        Q(pk__in=found) | Q(content_type__app_label__in=VIEWED, codename__startswith="view_")
    )


def install() -> list[str]:
    """Make the groups that are missing. Returns their names."""
    made = []
    for role in ROLES:
        group, new = Group.objects.get_or_create(name=role)
        if new:
            group.permissions.set(permissions_of(role))
            made.append(role)
    return made


def _named(names: Collection[str]) -> "QuerySet[Permission]":
    wanted = Q(pk__in=[])
    for name in names:
        app, _, codename = name.partition(".")
        wanted |= Q(content_type__app_label=app, codename=codename)
    return Permission.objects.filter(wanted).select_related("content_type")
