"""What `manage.py simulate` shows: a calendar, the load per hour, the difference, and what was assumed.

Tables for people, with bars; the same as data for programs. Rules are named, nobody else is.
"""

from collections import Counter
from datetime import date
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from notifications.models import Channel, Delivery
from notifications.tallies import DIFFERENCES, Difference, Tally

ASSUMED = (
    gettext_lazy(
        "Nothing is booked, moved, cancelled, confirmed or paid meanwhile: series until paid run to their end."
    ),
    gettext_lazy("Every provider takes every message at once, when it is due: no fallbacks, no limits of rates."),
    gettext_lazy("Quiet hours, superseding, caps per day and digests are decided as at the moment of sending."),
)
WIDTH = 40


def as_data(tallies: list[Tally], difference: Difference | None, looked: int) -> dict[str, Any]:
    tally = tallies[-1]
    data = {
        "from": tally.begins.astimezone(tally.zone).isoformat(),
        "until": tally.ends.astimezone(tally.zone).isoformat(),
        "time_zone": str(tally.zone),
        "looked_at": looked,
        "assumed": [str(line) for line in ASSUMED],
        **tally.as_data(),
    }
    if difference:
        data["now"] = tallies[0].as_data()
        told: dict[str, dict[str, int]] = {}
        for (rule, kind), number in sorted(difference.numbers.items()):
            told.setdefault(rule, dict.fromkeys(DIFFERENCES, 0))[kind] = number
        data["difference"] = told
    return data


def show(out: Any, tallies: list[Tally], difference: Difference | None, looked: int) -> None:
    console = Console(file=out, width=None if out.isatty() else 120)
    tally = tallies[-1]
    console.print(
        _("%(number)s bookings and payments, %(first)s to %(last)s, by the clocks of %(zone)s")
        % {"number": f"{looked:,}", "first": tally.days[0], "last": tally.days[-1], "zone": tally.zone},
        markup=False,
    )
    console.print(_calendar(tally))
    if busiest := tally.busiest:
        console.print(_rules(tally))
        console.print(_hours(tally))
        at = busiest[0].astimezone(tally.zone)
        console.print(
            _("Busiest hour: %(number)s messages on %(day)s from %(hour)s.")
            % {"number": f"{busiest[1]:,}", "day": at.date(), "hour": f"{at:%H:%M}"},
            markup=False,
        )
    if difference:
        console.print(_difference(difference))
        before, after = (one.going.total() for one in tallies)
        console.print(
            _("By the stored rules %(before)s go out in these days, by those of the file %(after)s.")
            % {"before": f"{before:,}", "after": f"{after:,}"},
            markup=False,
        )
    for line in ASSUMED:
        console.print(f"- {line}", style="dim", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", overflow="fold")
    return table


def _calendar(tally: Tally) -> Table:
    """A line per day: by channel, and what does not go out."""
    channels = [channel for channel in Channel if any(key[1] == channel for key in tally.going)]
    by_channel: Counter[tuple[date, str]] = Counter()
    for (day, channel, _rule), number in tally.going.items():
        by_channel[day, channel] += number
    reasons: dict[date, list[str]] = {day: [] for day in tally.days}
    for (day, kind, reason), number in sorted(tally.staying.items(), key=lambda item: -item[1]):
        reasons[day].append(f"{number:,} {_words(kind)}: {Delivery.Reason(reason).label}")
    table = _table(_("Day"), _("Going out"), *(str(channel.label) for channel in channels))
    table.add_column(_("Not going out"), overflow="fold")
    for day in tally.days:
        numbers = [by_channel[day, channel] for channel in channels]
        shown = [f"{number:,}" if number else "-" for number in (sum(numbers), *numbers)]
        table.add_row(f"{day:%a %Y-%m-%d}", *shown, "; ".join(reasons[day]))
    return table


def _rules(tally: Tally) -> Table:
    """A line per rule and channel, with how many on each day, if the days fit on a page."""
    few = tally.days if len(tally.days) <= 7 else []
    table = _table(_("Rule"), _("Channel"), _("All days"), *(f"{day:%d.%m.}" for day in few))
    for rule, channel in sorted({(rule, channel) for _day, channel, rule in tally.going}):
        on = [tally.going[day, channel, rule] for day in tally.days]
        table.add_row(rule, channel, f"{sum(on):,}", *(f"{number:,}" if number else "-" for number in on if few))
    return table


def _hours(tally: Tally) -> Table:
    """A line per hour of the day: the mean and the most of the days, the latter as a bar."""
    table = _table(_("Hour"), _("A day"), _("At most"))
    table.add_column("", min_width=WIDTH)
    lines = tally.by_clock()
    highest = max((most for _hour, _mean, most in lines), default=0) or 1
    for hour, mean, most in lines:
        table.add_row(f"{hour:02}:00", f"{mean:,.1f}", f"{most:,}", Bar(highest, 0, most, width=WIDTH) if most else "")
    return table


def _difference(difference: Difference) -> Table:
    names = [_("Added"), _("Moved"), _("By another channel"), _("Withdrawn")]
    table = _table(_("What the rules of the file change"), *names)
    for rule in sorted({rule for rule, _kind in difference.numbers}):
        table.add_row(rule, *(f"{difference.numbers[rule, kind]:,}" for kind in DIFFERENCES))
    if not difference.numbers:
        table.add_row(_("nothing"))
    return table


def _words(kind: str) -> str:
    return {"withdrawn": _("withdrawn"), "skipped": _("skipped")}[kind]
