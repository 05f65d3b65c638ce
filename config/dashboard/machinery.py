"""The part of the dashboard that is about jobs: the figures and tables of `jobs.stats`, in words.

Used by `page`. The promise: what somebody may not see is not asked for.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext

from config.dashboard.figures import DANGER, FINE, WARNING, Figure, Table, linked, many, moment, span, toned
from jobs import stats
from jobs.models import Pause
from jobs.scopes import Scope

JOBS = "admin:jobs_job_changelist"


def work(now: datetime, midnight: datetime, scope: Scope) -> list[Figure]:
    """What is due, and what failed."""
    found = stats.due(now, scope)
    number, oldest = (
        sum(one.number for one in found.values()),
        min((o.oldest for o in found.values() if o.oldest), default=None),
    )
    waited = now - oldest if oldest else timedelta()
    late = waited > timedelta(seconds=settings.LATENESS_GOAL)
    more = any(one.more for one in found.values())
    failed = stats.failed(midnight, scope)
    return [
        Figure(
            _("Due now"),
            f"{many(number)}+" if more else many(number),
            _("the oldest for %s") % span(waited) if oldest else _("nothing waits"),
            DANGER if late else FINE,
            _("late") if late else _("on time"),
            reverse(JOBS) + "?state__exact=scheduled",
        ),
        Figure(
            _("Failed jobs"),
            many(failed.number, stats.MOST),
            _("%s of them today") % many(failed.since, stats.MOST),
            WARNING if failed.number else "",
            _("to be looked at") if failed.number else "",
            reverse(JOBS) + "?state__exact=failed",
        ),
    ]


def pulse() -> list[Figure]:
    """Whether beat, the clock's worker and the database's clock can be relied on."""
    found = stats.pulse()
    clock = reverse("admin:jobs_clock_changelist")
    figures = [
        Figure(
            _("Beat"),
            _ago(found.beat),
            _("its last tick") if not found.beat_late else _("beat is not running"),
            WARNING if found.beat_late else FINE,
            _("late") if found.beat_late else _("ticks"),
            clock,
        ),
        Figure(
            _("Clock"),
            _ago(found.clock),
            _("the worker %s stands in") % found.by
            if found.stands_in and found.by
            else _("its last look for what is due"),
            DANGER if found.clock_late else WARNING if found.stands_in else FINE,
            _("nothing is sent") if found.clock_late else _("stood in for") if found.stands_in else _("ticks"),
            clock,
        ),
    ]
    if found.held_since:
        held = _("since %s") % moment(found.held_since)
        figures.insert(0, Figure(_("Held"), held, found.held_reason, DANGER, _("nothing is sent"), clock))
    return figures


def workers(found: stats.Traffic) -> tuple[Figure, Table]:
    here = [worker for worker in found.workers if worker.here]
    gone = len(found.workers) - len(here)
    word = _("nobody works") if not here else _("%d absent") % gone if gone else _("all here")
    text = ngettext("%(number)d worker", "%(number)d workers", len(here)) % {"number": len(here)}
    number = ngettext("%(number)d process", "%(number)d processes", found.processes) % {"number": found.processes}
    tone = DANGER if not here else WARNING if gone else FINE
    figure = Figure(_("Workers"), text, number, tone, word, reverse("admin:jobs_queueworker_changelist"))
    rows = [
        [
            worker.name,
            many(worker.processes),
            ", ".join(worker.queues),
            _("here") if worker.here else toned(_("absent"), DANGER),
            _ago(worker.seen),
        ]
        for worker in found.workers
    ]
    return figure, Table(_("Workers"), [_("Worker"), _("Processes"), _("Queues"), _("State"), _("Seen")], rows)


def queues(found: stats.Traffic, now: datetime) -> Table:
    headers = [
        _("Queue"),
        _("Due"),
        _("Oldest"),
        _("Queued / window"),
        _("Running"),
        _("Limits"),
        _("Processes"),
        _("Sending"),
    ]
    return Table(_("Queues"), headers, [_queue(lane, now) for lane in found.lanes])


def pauses(found: stats.Traffic) -> Table:
    """Of tasks and of tenants; those of queues stand with their queue."""
    rows = [[one.get_kind_display(), one.name or "-", _paused(one)] for one in found.pauses]
    return Table(_("Paused tasks and tenants"), [_("Kind"), _("Name"), _("Pause")], rows)


def _queue(lane: stats.Lane, now: datetime) -> list[object]:
    limits = []
    if lane.row.concurrency is not None:
        limits.append(_("%d at once") % lane.row.concurrency)
    if rate := lane.rate:
        limits.append(_("%(count)d in %(seconds)g s") % {"count": rate.count, "seconds": rate.period.total_seconds()})
    wanted = lane.crew.desired
    return [
        linked(lane.row.name, reverse("admin:jobs_queue_change", args=[lane.row.name])),
        many(lane.due.number, stats.MOST),
        span(now - lane.due.oldest) if lane.due.oldest else "-",
        f"{many(lane.queued)} / {many(lane.row.window)}",
        many(lane.running),
        ", ".join(limits) or "-",
        many(lane.crew.actual)
        if wanted is None
        else _("%(actual)d of %(desired)d") % {"actual": lane.crew.actual, "desired": wanted},
        toned(_paused(lane.pause), DANGER) if lane.pause else _("yes"),
    ]


def _paused(pause: Pause) -> str:
    told = {"name": pause.by, "since": moment(pause.at), "until": moment(pause.until) if pause.until else ""}
    text = _("paused by %(name)s, %(since)s to %(until)s") if pause.until else _("paused by %(name)s since %(since)s")
    return f"{text % told}: {pause.reason}" if pause.reason else text % told


def _ago(age: timedelta | None) -> str:
    return _("never") if age is None else _("%s ago") % span(max(age, timedelta()))
