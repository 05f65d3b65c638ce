"""The part of the dashboard that is about messages: how late they were, what became of today's, which providers work.

Used by `page`. The figures are those of `notifications.punctuality`.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from config.dashboard.figures import DANGER, FINE, WARNING, Figure, Table, linked, many, moment, span, toned
from jobs.library import warm
from notifications import days, punctuality
from notifications.channels import breaker
from notifications.models import Breaker, Channel

DELIVERIES = "admin:notifications_delivery_changelist"


def today(midnight: datetime, tenants: punctuality.Tenants = None) -> tuple[list[Figure], Table]:
    """Lateness, doubts, and a table by channel. Four statements."""
    late, doubts = punctuality.lateness(midnight, tenants), punctuality.doubts(tenants)
    figures = [_lateness(late)]
    word = _("for a person to resolve") if doubts else ""
    open_doubts = many(doubts, punctuality.DOUBTS)
    link = reverse(DELIVERIES) + "?state__exact=in_doubt"
    figures.append(Figure(_("In doubt"), open_doubts, _("whether they went"), WARNING if doubts else "", word, link))
    rows = [_channel(one) for one in punctuality.ends(midnight, midnight + timedelta(days=1), tenants)]
    headers = [_("Channel"), _("Sent"), _("Skipped"), _("Refused"), _("In doubt")]
    return figures, Table(_("Messages of today"), headers, rows)


def day() -> Figure:
    """The bookings of today, counted some minutes ago. One statement while the cache is warm."""
    found = warm.current(days.NAME)
    told = {"ahead": many(found.value["ahead"]), "days": days.AHEAD.days, "overdue": many(found.value["overdue"])}
    note = _("%(ahead)s in the next %(days)s days; %(overdue)s payments are overdue") % told
    at = date_format(timezone.localtime(found.at), "TIME_FORMAT")
    link = reverse("admin:notifications_booking_changelist")
    return Figure(_("Bookings today"), many(found.value["today"]), f"{note} ({at})", link=link)


def providers() -> tuple[Figure, Table]:
    rows = list(Breaker.objects.order_by("provider"))
    left = [row for row in rows if row.state != breaker.CLOSED]
    text = _("%d left alone") % len(left) if left else _("all in use")
    figure = Figure(
        _("Providers"),
        text,
        ", ".join(row.provider for row in left),
        DANGER if left else FINE,
        _("failing") if left else _("working"),
        reverse("admin:notifications_breaker_changelist"),
    )
    states = {breaker.CLOSED: _("in use"), breaker.OPEN: _("left alone"), breaker.HALF_OPEN: _("being tried")}
    cells = [
        [
            row.provider,
            toned(states.get(row.state, row.state), "" if row.state == breaker.CLOSED else DANGER),
            many(row.failures),
            moment(row.opened_at) if row.opened_at else "-",
        ]
        for row in rows
    ]
    return figure, Table(_("Providers"), [_("Provider"), _("Breaker"), _("Failures in a row"), _("Since")], cells)


def _lateness(late: punctuality.Lateness) -> Figure:
    if not late.number:
        return Figure(_("Lateness today"), "-", _("nothing was sent yet"))
    goal = timedelta(seconds=settings.LATENESS_GOAL)
    behind = late.p95 is not None and late.p95 > goal
    of = _("of the latest %s messages") if late.sample else _("of %s messages")
    told = {"p50": span(late.p50), "p99": span(late.p99), "worst": span(late.worst)}
    note = _("half within %(p50)s, 99%% within %(p99)s, the worst %(worst)s") % told
    return Figure(
        _("Lateness today, 95%"),
        span(late.p95),
        f"{note}; {of % many(late.number)}",
        WARNING if behind else FINE,
        _("over the goal of %s") % span(goal) if behind else _("within the goal of %s") % span(goal),
    )


def _channel(one: punctuality.Ends) -> list[object]:
    known = dict(Channel.choices)
    link = f"{reverse(DELIVERIES)}?channel__exact={one.channel}"
    numbers = (one.sent, one.skipped, one.refused, one.in_doubt)
    return [linked(str(known.get(one.channel, one.channel)), link), *(many(n, punctuality.MOST - 1) for n in numbers)]
