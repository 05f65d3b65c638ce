"""What has to happen for one rule and one anchor. Called by `reminders.plan`, writes nothing itself."""

from datetime import datetime

from notifications import timing
from notifications.changes import Changes, Plan
from notifications.models import Booking, Delivery, Payment, ReminderRule

State, Reason = Delivery.State, Delivery.Reason
Anchor = Booking | Payment

RESTORABLE = frozenset({Reason.LEAD_TIME_PAST, Reason.CANCELLED, Reason.PAID, Reason.NO_ADDRESS, Reason.RULE_OFF})


def compare(
    rule: ReminderRule, anchor: Anchor, have: list[Delivery], changes: Changes, done: Plan, now: datetime
) -> None:
    """Decide what has to happen for one rule and one anchor."""
    why_not, when = unwanted(rule, anchor), window(rule, anchor)
    for delivery in have:
        outdated = delivery.revision != anchor.revision
        if delivery.state == State.SENDING and (outdated or why_not):
            done.in_flight.append(delivery)
        if delivery.state == State.PLANNED and outdated:
            changes.withdraw(delivery, why_not or Reason.RESCHEDULED)
    current = next((delivery for delivery in have if delivery.revision == anchor.revision), None)
    if current is None:
        if why_not in ("", Reason.NO_ADDRESS):
            missed = when.send_at <= now or when.useful_until <= when.send_at
            changes.add(rule, anchor, when, why_not or (Reason.LEAD_TIME_PAST if missed else ""))
    elif current.state == State.PLANNED:
        moved = (current.send_at, current.useful_until) != (when.send_at, when.useful_until)
        if why_not:
            changes.withdraw(current, why_not)
        elif moved and when.send_at <= now:
            changes.withdraw(current, Reason.LEAD_TIME_PAST)
        elif moved:
            changes.move(current, when)
        else:
            done.kept += 1
    elif current.state == State.SKIPPED and current.reason in RESTORABLE and not why_not and when.send_at > now:
        changes.restore(current, when)
    else:
        done.kept += 1


def unwanted(rule: ReminderRule, anchor: Anchor) -> str:
    """Why this rule's message about this anchor is not to go out; empty if it is."""
    if isinstance(anchor, Payment) and anchor.status == Payment.Status.PAID:
        return Reason.PAID
    if anchor.status not in (Booking.Status.BOOKED, Payment.Status.OPEN):
        return Reason.CANCELLED
    if not rule.active:
        return Reason.RULE_OFF
    return "" if anchor.customer.address(rule.channels[0]) else Reason.NO_ADDRESS


def window(rule: ReminderRule, anchor: Anchor) -> timing.Window:
    """When this rule's message about `anchor` is to go out."""
    if isinstance(anchor, Booking):
        return timing.around_start(anchor.starts_at, anchor.time_zone, rule.offset, rule.at_time, rule.useful_for)
    return timing.around_date(anchor.due_on, anchor.time_zone, rule.offset, rule.at_time, rule.useful_for)
