"""A report's figures in words: sections of sentences, tables and charts, in the language that is active.

Used by `documents` for HTML, PDF and text alike, so that all of them say the same, and by the mail. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.formats import date_format, number_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _, ngettext

from notifications.models import Channel, Delivery
from notifications.reports.charts import Bars
from notifications.reports.effect import Cohort, Effect
from notifications.reports.figures import MOST_REMINDERS, Bookings, Figures, Lateness, Messages, Paid, Task
from notifications.reports.periods import Period

NONE = "–"
FEW = 30  # bookings; a rate of fewer says little


@dataclass(frozen=True)
class Table:
    """The first cell of a row names it. `folded`: it says what a chart shows."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    title: str
    sentences: Sequence[str] = ()
    charts: Sequence[Bars] = ()
    tables: Sequence[Table] = field(default_factory=tuple)


def title(period: Period) -> str:
    """Monday, 2025-11-03; Week 45 of 2025 (2025-11-03 to 2025-11-09); November 2025."""
    if period.kind == "day":
        return f"{date_format(period.first, 'l')}, {date_format(period.first, 'DATE_FORMAT')}"
    if period.kind == "month":
        return date_format(period.first, "YEAR_MONTH_FORMAT")
    year, week, _weekday = period.first.isocalendar()
    days = {"first": date_format(period.first, "DATE_FORMAT"), "last": date_format(period.last, "DATE_FORMAT")}
    return _("Week %(week)d of %(year)d (%(first)s to %(last)s)") % {"week": week, "year": year, **days}


def all_of(figures: Figures, period: Period) -> list[Section]:
    return [
        Section(_("At a glance"), tables=[glance(figures)]),
        _messages(figures.messages, period),
        _lateness(figures.lateness),
        _bookings(figures.bookings),
        _effect(figures.effect),
        _paid(figures.paid),
        _jobs(figures.jobs),
    ]


def glance(figures: Figures) -> Table:
    """The few figures that also stand in the mail."""
    sent = sum(one.sent for one in figures.messages)
    everyone, paid = figures.effect.all, figures.paid
    rows = [
        (_("Messages sent"), number(sent)),
        (_("Delivered, as far as providers told"), share(sum(one.delivered for one in figures.messages), sent)),
        (_("In doubt"), number(sum(one.in_doubt for one in figures.messages))),
        (_("Lateness of 95 in 100 messages, at most"), seconds(figures.lateness.p95)),
        (_("No-shows, of the bookings that were completed or missed"), share(everyone.no_show, everyone.bookings)),
        (_("Payments on time, of those that were paid"), share(sum(paid.on_time), sum(paid.on_time) + sum(paid.late))),
        (_("Failed jobs"), number(sum(one.failed for one in figures.jobs))),
    ]
    return Table(_("The most important figures"), [_("Figure"), _("Value")], rows)


def _messages(messages: list[Messages], period: Period) -> Section:
    used = [one for one in messages if one.sent or one.refused or one.in_doubt or one.skipped]
    known = {name: capfirst(str(label)) for name, label in Channel.choices}
    headers = [_("Channel"), _("Sent"), _("Delivered"), _("Came back"), _("Refused"), _("In doubt"), _("Skipped")]
    rows = [
        [
            known[one.channel],
            *map(number, (one.sent, one.delivered, one.returned, one.refused, one.in_doubt)),
            number(sum(one.skipped.values())),
        ]
        for one in used
    ]
    tables = [Table(_("What became of messages, by channel"), headers, rows)]
    reasons = {reason for one in used for reason in one.skipped}
    if reasons:
        tables.append(_skipped(used, known, reasons))
    charts = []
    if any(one.sent for one in used):
        chart, table = _over_time([one for one in used if one.sent], known, period)
        charts.append(chart)
        tables.append(table)
    told = _(
        "Sent are those that their provider took in this time; delivered and come back are what providers told of "
        "them until now. Refused, in doubt and skipped are those that were due in this time."
    )
    return Section(_("Messages"), [told] if used else [_("No messages.")], charts, tables if used else [])


def _skipped(used: list[Messages], known: dict[str, str], reasons: set[str]) -> Table:
    words = dict(Delivery.Reason.choices)
    totals = sorted(reasons, key=lambda reason: -sum(one.skipped.get(reason, 0) for one in used))
    rows = [
        [capfirst(str(words.get(reason, reason))), *(number(one.skipped.get(reason, 0)) for one in used)]
        for reason in totals
    ]
    return Table(_("Skipped, by reason"), [_("Reason"), *(known[one.channel] for one in used)], rows)


def _over_time(used: list[Messages], known: dict[str, str], period: Period) -> tuple[Bars, Table]:
    labels = [_at(begins, period) for begins in period.parts]
    totals = [sum(numbers) for numbers in zip(*(one.by_part for one in used), strict=True)]
    busiest = max(range(len(totals)), key=totals.__getitem__)
    by_day = period.kind != "day"
    name = _("Messages sent, by day") if by_day else _("Messages sent, by hour")
    told = _("%(chart)s: the most at %(when)s, %(number)s of %(total)s.") % {
        "chart": name,
        "when": labels[busiest],
        "number": number(totals[busiest]),
        "total": number(sum(totals)),
    }
    series = [(known[one.channel], one.by_part) for one in used]
    headers = [_("Day") if by_day else _("Hour"), *(one for one, _numbers in series)]
    rows = [[label, *(number(one.by_part[n]) for one in used)] for n, label in enumerate(labels)]
    short = [label[:5] for label in labels] if period.kind == "day" else labels  # without the zone
    return Bars(name, told, short, series, stacked=True), Table(name, headers, rows, folded=True)


def _at(begins: datetime, period: Period) -> str:
    local = begins.astimezone(period.zone)
    if period.kind == "day":
        twice = local.fold or local.replace(fold=1).utcoffset() != local.utcoffset()
        return f"{local:%H:%M}" + (f" {local:%Z}" if twice else "")
    return f"{date_format(local, 'D')} {local.day}" if period.kind == "week" else f"{local.day}"


def _lateness(late: Lateness) -> Section:
    if not late.number:
        return Section(_("Lateness"), [_("No messages.")])
    rows = [
        (_("Half of the messages, at most"), seconds(late.p50)),
        (_("95 in 100, at most"), seconds(late.p95)),
        (_("99 in 100, at most"), seconds(late.p99)),
        (_("The worst"), seconds(late.worst)),
    ]
    told = _("From the time a message was due until its provider took it, of %s messages.") % number(late.number)
    return Section(_("Lateness"), [told], tables=[Table(_("How late messages were"), [_("Of"), _("Late by")], rows)])


def _bookings(found: Bookings) -> Section:
    rows = [
        (_("Made here"), number(found.made)),
        (_("Imported"), number(found.imported)),
        (_("Moved (each once, when it was moved last)"), number(found.moved)),
        (_("Cancelled"), number(found.cancelled)),
        (_("Completed"), number(found.completed)),
        (_("No-show"), number(found.no_show)),
    ]
    table = Table(_("What happened to bookings in this time"), [_("What"), _("Bookings")], rows)
    return Section(_("Bookings"), tables=[table])


def _effect(effect: Effect) -> Section:
    everyone = effect.all
    if not everyone.bookings:
        return Section(_("What reminders do"), [_("No booking was completed or missed.")])
    told = [
        _(
            "Of the bookings that were marked as completed or as no-show in this time. A reminder counts if it was "
            "sent for the time that the booking had in the end, before it began."
        ),
        _(
            "It is a comparison and no proof: who books at the last moment gets fewer reminders and may be another "
            "kind of customer. Rates of fewer than %d bookings say little."
        )
        % FEW,
    ]
    if effect.left_out:
        more = ngettext("%d more rule is left out.", "%d more rules are left out.", effect.left_out)
        told.append(more % effect.left_out)
    headers = [_("Rule"), _("Reminded"), _("No-show"), _("Not reminded"), _("No-show"), _("Difference")]
    rows = [
        [one.rule, *_rates(one.reminded, "no_show"), *_rates(one.others, "no_show"), _points(one.reminded, one.others)]
        for one in effect.rules
    ]
    confirmed = [[one.rule, _rate(one.reminded, "confirmed"), _rate(one.others, "confirmed")] for one in effect.rules]
    tables = [
        Table(_("No-shows with the reminder of a rule and without it"), headers, rows),
        Table(_("Confirmed by the customer"), [_("Rule"), _("Reminded"), _("Not reminded")], confirmed),
    ]
    return Section(_("What reminders do"), told, _compared(effect), tables)


def _compared(effect: Effect) -> list[Bars]:
    both = [one for one in effect.rules if one.reminded.bookings and one.others.bookings]
    if not both:
        return []
    name = _("No-shows in percent")
    parts = [
        _("%(rule)s: %(with)s reminded, %(without)s not")
        % {"rule": one.rule, "with": _rate(one.reminded, "no_show"), "without": _rate(one.others, "no_show")}
        for one in both
    ]
    series = [
        (_("Reminded"), [_percent(one.reminded) for one in both]),
        (_("Not reminded"), [_percent(one.others) for one in both]),
    ]
    return [Bars(name, f"{name}. {'; '.join(parts)}.", [one.rule for one in both], series, lying=True, percent=True)]


def _paid(paid: Paid) -> Section:
    if not sum(paid.on_time) + sum(paid.late):
        return Section(_("Payments"), [_("No payment was paid.")])
    labels = [str(n) for n in range(MOST_REMINDERS)] + [_("%d or more") % MOST_REMINDERS]
    name = _("Payments that were paid, by the number of reminders before")
    rows = [
        [label, number(on_time), number(late), number(on_time + late)]
        for label, on_time, late in zip(labels, paid.on_time, paid.late, strict=True)
    ]
    rows.append([_("All"), number(sum(paid.on_time)), number(sum(paid.late)), number(sum(paid.on_time + paid.late))])
    headers = [_("Reminders"), _("On time"), _("Late"), _("Both")]
    told = _("%(chart)s: %(on_time)s on time, %(late)s late.") % {
        "chart": name,
        "on_time": number(sum(paid.on_time)),
        "late": number(sum(paid.late)),
    }
    chart = Bars(name, told, labels, [(_("On time"), paid.on_time), (_("Late"), paid.late)], stacked=True)
    explained = _("Paid in full in this time; on time is on the due date, by its own clocks, or before.")
    return Section(_("Payments"), [explained], [chart], [Table(name, headers, rows)])


def _jobs(jobs: list[Task]) -> Section:
    if not jobs:
        return Section(_("Jobs"), [_("No job ended.")])
    headers = [_("Task"), _("Succeeded"), _("Failed"), _("Cancelled"), _("Expired"), _("Tried again")]
    rows = [
        [one.task, *map(number, (one.succeeded, one.failed, one.cancelled, one.expired, one.retried))] for one in jobs
    ]
    told = _("Jobs that ended in this time and are still kept; what is deleted after some days is not counted.")
    return Section(_("Jobs"), [told], tables=[Table(_("How jobs ended, by task"), headers, rows)])


# --- How figures are written ----------------------------------------------------------------------------


def number(value: int) -> str:
    return number_format(value, use_l10n=True, force_grouping=True)


def share(part: int, whole: int) -> str:
    """12 (3.4 %)"""
    return f"{number(part)} ({_tenth(100 * part / whole)} %)" if whole else NONE


def seconds(value: float | None) -> str:
    if value is None:
        return NONE
    if value < 10:
        return _("%s s") % _tenth(value)
    if value < 120:
        return _("%d s") % value
    return _("%d min") % (value // 60)


def _tenth(value: float) -> str:
    """Django's own cuts off what is too long."""
    return number_format(round(value, 1), 1)


def _rate(cohort: Cohort, what: str) -> str:
    return f"{_tenth(_percent(cohort, what))} %" if cohort.bookings else NONE


def _rates(cohort: Cohort, what: str) -> Iterable[str]:
    return number(cohort.bookings), _rate(cohort, what)


def _percent(cohort: Cohort, what: str = "no_show") -> float:
    return 100 * float(getattr(cohort, what)) / cohort.bookings


def _points(reminded: Cohort, others: Cohort) -> str:
    """Of percent, with a sign."""
    if not reminded.bookings or not others.bookings:
        return NONE
    points = round(_percent(reminded) - _percent(others), 1)
    sign = "+" if points > 0 else "−" if points < 0 else "±"
    return f"{sign}{_tenth(abs(points))}"
