"""When the messages of a rule about an anchor go out, and how many there are. Touches no database, and writes nothing.

Called by `planning`, and by what looks ahead or checks once more. The arithmetic of time is `timing`'s; here a rule and
a booking or payment are put into it.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from notifications import timing
from notifications.models import Booking, Customer, Payment, ReminderRule

Anchor = Booking | Payment
Kind = ReminderRule.Anchor

EVENTS = {Kind.BOOKING_MADE: "made_at", Kind.BOOKING_MOVED: "moved_at", Kind.BOOKING_CANCELLED: "closed_at"}


def window(rule: ReminderRule, anchor: Anchor, occurrence: int, since: datetime) -> timing.Window | None:
    """When an occurrence that was first planned at `since` goes out. None: not at all, because of quiet hours."""
    key = f"{type(anchor).__name__}:{anchor.pk}"
    quiet = quiet_hours(rule, anchor.customer)
    return timing.settled(
        nominal(rule, anchor, occurrence), quiet, since=since, key=key, tolerance=rule.tolerance or timedelta()
    )


def nominal(rule: ReminderRule, anchor: Anchor, occurrence: int = 0) -> timing.Window:
    """When the rule says that it goes out, whatever the hour. Of a series, each ends when the next one is due."""
    when = _nth(rule, anchor, occurrence)
    if occurrence < rule.repeat_times and rule.anchor not in EVENTS:
        return replace(when, useful_until=min(when.useful_until, _nth(rule, anchor, occurrence + 1).send_at))
    return when


def _nth(rule: ReminderRule, anchor: Anchor, occurrence: int) -> timing.Window:
    later = (rule.repeat_every or timedelta()) * occurrence
    if isinstance(anchor, Payment):
        return timing.around_date(anchor.due_on, anchor.time_zone, rule.offset, rule.at_time, rule.useful_for, later)
    if rule.anchor in EVENTS:
        happened_at = getattr(anchor, EVENTS[Kind(rule.anchor)]) or anchor.created_at
        return timing.of_event(happened_at, anchor.starts_at, rule.offset, rule.useful_for)
    return timing.around_start(anchor.starts_at, anchor.time_zone, rule.offset, rule.at_time, rule.useful_for, later)


def quiet_hours(rule: ReminderRule, customer: Customer) -> timing.Quiet | None:
    if rule.quiet_from is None or rule.quiet_until is None:
        return None
    return timing.Quiet(rule.quiet_from, rule.quiet_until, customer.time_zone, rule.quiet)


def how_many(rule: ReminderRule, anchor: Anchor) -> int:
    """How many messages the rule makes of the anchor."""
    if rule.anchor not in EVENTS:
        many = 1 + rule.repeat_times
        if isinstance(anchor, Booking):  # of no use after the start, so it is not repeated then
            return next((n for n in range(1, many) if empty(nominal(rule, anchor, n))), many)
        return many
    happened = getattr(anchor, EVENTS[Kind(rule.anchor)])
    # It was made before it was moved: what is told is the last change.
    return int(bool(happened) and (rule.anchor != Kind.BOOKING_MADE or anchor.revision == 1))


def empty(when: timing.Window) -> bool:
    return when.useful_until <= when.send_at
