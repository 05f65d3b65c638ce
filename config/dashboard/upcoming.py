"""The part of the dashboard that is about what is to come: jobs by hour, and the processes that keep them on time.

Used by `page`. The figures are those of `jobs.load`; the chart is the theme's.
"""

import json
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _, ngettext

from config.dashboard.figures import FINE, WARNING, Figure, Table, many, span
from jobs import load, stats
from jobs.scopes import Scope


def upcoming(now: datetime, scope: Scope) -> dict[str, Any]:
    """Three statements."""
    found = load.ahead(now, processes=stats.processes(scope), scope=scope)
    title = _("The next %d hours") % load.HOURS
    return {"title": title, "figures": _figures(found, scope), "chart": _chart(found), "table": _table(found)}


def _figures(found: load.Load, scope: Scope) -> list[Figure]:
    goal, busiest = span(found.goal), found.busiest
    figures = [
        Figure(
            _("In the next %d hours") % load.HOURS,
            ngettext("%(number)s job", "%(number)s jobs", found.total) % {"number": _number(found.total, found.more)},
            _("the busiest hour: %(hour)s with %(number)s")
            % {"hour": _hour(busiest.begins), "number": _number(busiest.total, busiest.more)}
            if busiest
            else _("nothing is scheduled"),
        )
    ]
    if scope.by_tenant:  # processes work for all tenants, and how long their jobs take tells of them
        return figures
    if found.capacity is None or found.needed is None or found.seconds is None:
        return [*figures, Figure(_("Capacity"), "-", _("not measured yet: no job has succeeded lately"))]
    enough = found.processes >= found.needed
    return [
        *figures,
        Figure(
            _("Capacity"),
            _("%s jobs an hour") % many(found.capacity),
            _("%(processes)d processes, %(seconds)s a job, measured on the last %(sample)s")
            % {"processes": found.processes, "seconds": _brief(found.seconds), "sample": many(found.pace.sample)},
        ),
        Figure(
            _("Processes needed"),
            many(found.needed),
            _("so that nothing is more than %s late") % goal,
            FINE if enough else WARNING,
            _("%d are here") % found.processes,
        ),
    ]


def _chart(found: load.Load) -> str:
    bars: dict[str, Any] = {
        "label": _("jobs"),
        "data": [hour.total for hour in found.hours],
        "backgroundColor": "var(--color-primary-600)",
        "displayYAxis": True,
        "maxTicksXLimit": 9,
    }
    lines = []
    most = max(hour.total for hour in found.hours)
    if found.capacity is not None and most and found.capacity < 4 * most:  # else the bars would be too low to be seen
        line = {"label": _("capacity"), "type": "line", "data": [found.capacity] * load.HOURS}
        lines.append(line | {"borderColor": "var(--color-red-600)", "displayYAxis": True})
    return json.dumps({"labels": [_hour(hour.begins) for hour in found.hours], "datasets": [bars, *lines]})


def _table(found: load.Load) -> Table:
    queues = sorted(found.minutes)
    rows = [
        [_hour(hour.begins), *(many(hour.jobs.get(queue, 0)) for queue in queues), _number(hour.total, hour.more)]
        for hour in found.hours
        if hour.total
    ]
    return Table("", [_("Hour"), *queues, _("Jobs")], rows)


def _number(number: int, more: bool) -> str:
    return f"{many(number)}+" if more else many(number)


def _hour(begins: datetime) -> str:
    return date_format(timezone.localtime(begins), "D H:i")


def _brief(seconds: float) -> str:
    return _("%d ms") % (seconds * 1000) if seconds < 1 else _("%.1f s") % seconds
