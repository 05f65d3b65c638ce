"""What stands beside every page of the admin, in the order in which it is used, and only what one may see.

Called by the theme with each page (UNFOLD["SIDEBAR"]). To add a page: an entry of `navigation`.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from jobs import scopes

Item = dict[str, Any]
Allowed = Callable[[HttpRequest], bool]
Entry = Callable[[str, str, str], Item]


def table(request: HttpRequest, title: str, icon: str, model: str, query: str = "") -> Item:
    """The list of a model, `app.name`, for those who may view it."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse(f"admin:{app}_{name}_changelist") + query,
        "permission": _may(f"{app}.view_{name}"),
        "active": _within(reverse(f"admin:{app}_{name}_changelist")),
    }


def navigation(request: HttpRequest) -> list[Item]:
    def one(title: str, icon: str, model: str) -> Item:
        return table(request, title, icon, model)

    groups = [
        ("", [{"title": _("Dashboard"), "icon": "dashboard", "link": reverse("admin:index"), "active": _at_home}]),
        (_("Appointments and money"), _appointments(one)),
        (
            _("What is said, and when"),
            [
                one(_("Rules"), "rule", "notifications.reminderrule"),
                one(_("Words"), "match_word", "notifications.messagetemplate"),
                one(_("Trials"), "science", "notifications.trial"),
                one(_("Reports"), "bar_chart", "notifications.report"),
                one(_("Mails of reports"), "mark_email_read", "notifications.reportmail"),
            ],
        ),
        (_("Machinery"), _machinery(one)),
        (
            _("Reach"),
            [
                one(_("Suppressed"), "block", "notifications.suppression"),
                one(_("Consents"), "verified_user", "notifications.consentevent"),
                one(_("Inbox"), "inbox", "notifications.inboxitem"),
                one(_("Provider events"), "feedback", "notifications.providerevent"),
                *([_of_all(one(_("Outbox"), "outbox", "notifications.outboxmessage"))] if _outbox() else []),
                _of_all(one(_("Breakers"), "electric_bolt", "notifications.breaker")),
            ],
        ),
        (_("People and programs"), _who(one)),
    ]
    return [{"title": title, "items": items, "separator": False} for title, items in groups]


def _appointments(one: Entry) -> list[Item]:
    return [
        one(_("Bookings"), "event", "notifications.booking"),
        _page(_("Day"), "calendar_today", "notifications_booking_day", "notifications.view_booking"),
        one(_("Payments"), "payments", "notifications.payment"),
        one(_("Customers"), "group", "notifications.customer"),
        one(_("Deliveries"), "outgoing_mail", "notifications.delivery"),
        _page(_("Doubts"), "help", "notifications_delivery_doubts", "notifications.view_delivery"),
        one(_("Direct messages"), "forward_to_inbox", "notifications.directmessage"),
        one(_("Bulk changes"), "dynamic_feed", "notifications.bulkchange"),
    ]


def _machinery(one: Entry) -> list[Item]:
    return [
        one(_("Jobs"), "work", "jobs.job") | {"active": _at("jobs_job_changelist")},
        _errors(),
        one(_("Orders"), "checklist", "jobs.order"),
        one(_("Queues"), "low_priority", "jobs.queue"),
        one(_("Workers"), "engineering", "jobs.queueworker"),
        one(_("Schedules"), "schedule", "django_celery_beat.periodictask"),
        one(_("Clock"), "timer", "jobs.clock"),
        one(_("Pauses"), "pause_circle", "jobs.pause"),
        _unscoped(one(_("Key limits"), "speed", "jobs.keylimit")),
        _unscoped(one(_("Task rates"), "data_thresholding", "jobs.taskrate")),
        one(_("Exports"), "file_save", "jobs.export"),
        one(_("Files"), "folder", "jobs.storedfile"),
        *_flower(),
    ]


def _who(one: Entry) -> list[Item]:
    return [
        one(_("Users"), "manage_accounts", "auth.user"),
        one(_("Groups"), "groups", "auth.group"),
        _unscoped(one(_("Scopes of jobs"), "policy", "jobs.jobscope")),
        one(_("Refused logins"), "no_accounts", "axes.accessattempt"),
        one(_("API keys"), "key", "jobs.apikey"),
        one(_("API calls"), "api", "jobs.apicall"),
    ]


def _may(permission: str) -> Allowed:
    return lambda request: request.user.has_perm(permission)


def _of_all(page: Item) -> Item:
    """Of the whole installation: not for those who have some tenants."""
    may: Allowed = page["permission"]
    return page | {"permission": lambda request: may(request) and scopes.of(request.user).tenants is None}


def _unscoped(page: Item) -> Item:
    """Of the jobs of all queues and tenants: not for those who have a scope."""
    may: Allowed = page["permission"]
    return page | {"permission": lambda request: may(request) and scopes.of(request.user).limits is None}


def _at_home(request: HttpRequest) -> bool:
    return request.path == reverse("admin:index")


def _at(name: str) -> Allowed:
    return lambda request: request.path == reverse(f"admin:{name}")


def _errors() -> Item:
    """Failed jobs by what went wrong."""
    here = {"link": reverse("admin:jobs_job_errors"), "active": _at("jobs_job_errors")}
    return {"title": _("Errors"), "icon": "error", "permission": _may("jobs.view_job"), **here}


def _page(title: str, icon: str, view: str, permission: str) -> Item:
    """A page that is no list of a model's."""
    link = reverse(f"admin:{view}")
    return {"title": title, "icon": icon, "link": link, "permission": _may(permission), "active": _within(link)}


def _within(link: str) -> Allowed:
    """Somewhere below a list, but not on a page that has an entry of its own."""
    pages = [reverse(f"admin:{name}") for name in ("notifications_booking_day", "notifications_delivery_doubts")]
    return lambda request: request.path.startswith(link) and (link in pages or request.path not in pages)


def _outbox() -> bool:
    """Whether there is a channel whose messages stay here."""
    return bool(settings.WEBHOOK_OUTBOX or not settings.TWILIO_ACCOUNT_SID)


def _flower() -> list[Item]:
    if not (url := settings.FLOWER_URL):
        return []
    return [
        {"title": "Flower", "icon": "local_florist", "link": url, "active": False, "permission": _may("jobs.view_job")}
    ]
