"""Messages to many: one text to everybody whose booking a change is about.

Called by `bulk`, a chunk at a time, and by `reminders.plan` when one of these bookings changes. Each message is a
delivery like a reminder's, of a rule that belongs to the change alone, so that it passes the same fence. The promise:
one for each booking, however often the job is resumed: a unique constraint says so.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Annotated

from django.db.models import F
from pydantic import BaseModel, ConfigDict, Field, model_validator

from notifications import rendering, timing, wording
from notifications.changes import CHUNK, Changes, Plan
from notifications.channels import segments
from notifications.channels.base import Message
from notifications.examples import example
from notifications.models import Booking, BulkChange, Channel, Delivery, ReminderRule
from notifications.occurrences import quiet_hours
from notifications.planning import Reason, State, unwanted
from notifications.routes import Routes, by_preference
from notifications.selections import Selection

AT_MOST = 20_000  # bookings that a preview looks at; people wait for the answer
SHOWN = 3  # of them, as they would read
NOTICES = {"move": ReminderRule.Anchor.BOOKING_MOVED, "cancel": ReminderRule.Anchor.BOOKING_CANCELLED}


class Circular(BaseModel):
    """What to write, in Liquid, and how. The customer's preferences decide between the channels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    subject: str = ""
    sms: str = ""  # instead of the text, where that is too long for one SMS
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)] = (Channel.EMAIL, Channel.SMS)
    useful_for: timedelta | None = None  # empty: until the booking starts
    quiet_from: time | None = time(21)  # by the customer's clocks; both empty: at any hour
    quiet_until: time | None = time(8)

    @model_validator(mode="after")
    def _whole(self) -> "Circular":
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("Quiet hours have a beginning and an end, or neither.")
        if self.useful_for is not None and not timedelta(0) < self.useful_for <= timedelta(days=366):
            raise ValueError("A message is of use for a time between a moment and a year.")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("Name each channel once.")
        return self

    def wrong(self) -> list[tuple[str, str]]:
        """What is wrong with the words: the part and why, as for message templates; empty if nothing is."""
        found: dict[tuple[str, str], None] = {}
        for channel in self.channels:
            own = wording.of_bulk(self.model_dump(mode="json"), channel)
            for told in wording.check(channel, own, example("bulk", "en")):
                part, _, why = told.partition(": ")
                found["sms" if part == "text" and channel == Channel.SMS and self.sms else part, why] = None
        return list(found)


def rule_for(kind: str, circular: Circular, name: str, tenant: str = "") -> ReminderRule:
    """The rule that speaks for the message, not saved: fence, quiet hours, channels and digests ask it."""
    return ReminderRule(
        tenant=tenant,
        name=name,
        anchor=f"bulk_{kind}",
        offset=timedelta(),
        channels=[channel.value for channel in circular.channels],
        message=f"bulk_{kind}",
        useful_for=circular.useful_for,
        quiet_from=circular.quiet_from,
        quiet_until=circular.quiet_until,
    )


def tell(change: BulkChange, bookings: Sequence[Booking], done: Plan, changes: Changes, now: datetime) -> Counter[str]:
    """Write to the customers of locked bookings, once each. `done` is what the change has made of their reminders.

    The notice that a rule would send of the same change is not sent as well: this message is in its place.
    """
    routes = Routes(booking.customer for booking in bookings)
    made = [_delivery(change, booking, routes, now) for booking in bookings]
    for delivery in made:
        changes.add(delivery)
    told = {delivery.booking_id for delivery in made if delivery.state == State.PLANNED}
    for notice in done.added:
        if notice.rule.anchor == NOTICES.get(change.kind) and notice.booking_id in told:
            changes.withdraw(notice, Reason.SUPERSEDED)
    changes.apply(Plan())
    return Counter(f"no message: {one.reason}" if one.reason else "messages planned" for one in made)


def _delivery(change: BulkChange, booking: Booking, routes: Routes, now: datetime) -> Delivery:
    """The message about one booking, or the record of why there is none."""
    rule = change.rule
    if rule is None:
        raise LookupError(f"change {change.pk} has no message")
    customer = booking.customer
    until = now + rule.useful_for if rule.useful_for else booking.starts_at
    window = timing.Window(now, until)
    quiet = quiet_hours(rule, customer)
    when = timing.settled(window, quiet, since=now, key=f"Booking:{booking.pk}", tolerance=timedelta())
    channel, why_not = routes.channel(rule, customer)
    reason = Reason.TOO_LATE if until <= now else why_not or ("" if when else Reason.QUIET_HOURS)
    return Delivery(
        tenant=booking.tenant,
        rule=rule,
        bulk=change,
        booking=booking,
        customer=customer,
        channel=channel,
        revision=booking.revision,
        send_at=(when or window).send_at,
        useful_until=until,
        created_at=now,
        state=State.SKIPPED if reason else State.PLANNED,
        reason=reason,
    )


def follow(deliveries: Sequence[Delivery], bookings: Iterable[Booking], changes: Changes, done: Plan) -> None:
    """The bookings, or what their customers want, changed after they were written to: what waits has to follow."""
    waiting = [one for one in deliveries if one.state in (State.PLANNED, State.SENDING)]
    if not waiting:
        return
    rules = ReminderRule.objects.in_bulk({one.rule_id for one in waiting})
    about = {booking.pk: booking for booking in bookings}
    routes = Routes(booking.customer for booking in about.values())
    for one in waiting:
        rule, booking = rules[one.rule_id], about[one.booking_id or 0]
        outdated = Reason.RESCHEDULED if one.revision != booking.revision else ""
        why = unwanted(rule, booking) or outdated
        if one.state == State.SENDING:
            done.in_flight += [one] if why else []
        elif why:
            changes.withdraw(one, why)
        elif unreachable := routes.why_not(booking.customer, one.channel):
            changes.withdraw(one, unreachable)
            tried = {other.channel for other in deliveries if other.bulk_id == one.bulk_id}
            channels = (name for name in by_preference(rule, booking.customer) if name not in tried)
            if channel := next((name for name in channels if not routes.why_not(booking.customer, name)), None):
                changes.add(_instead(one, rule, booking, channel), [one])


def _instead(one: Delivery, rule: ReminderRule, booking: Booking, channel: str) -> Delivery:
    kept = ("tenant", "bulk_id", "revision", "occurrence", "send_at", "useful_until")
    same = {name: getattr(one, name) for name in kept}
    return Delivery(rule=rule, booking=booking, customer=booking.customer, channel=channel, fallback_of=one, **same)


# --- Before it is sent ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """A message as it would read."""

    channel: str
    message: Message | None
    problem: str = ""  # why its words cannot be said

    @property
    def parts(self) -> int:
        return segments.count(self.message.text) if self.message and self.channel == Channel.SMS else 0


@dataclass
class Foreseen:
    """Whom it would reach, if it went out now. Of a sample the numbers are those of the sample, see `one_in`."""

    looked_at: int = 0
    one_in: int = 1
    channels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # why some would get nothing
    later: int = 0  # of those who would: not at once, because of their quiet hours
    examples: list[Example] = field(default_factory=list)

    @property
    def by_channel(self) -> list[tuple[str, int]]:
        return self.channels.most_common()

    @property
    def by_reason(self) -> list[tuple[str, int]]:
        return self.reasons.most_common()


def foresee(
    kind: str, circular: Circular, selection: Selection, now: datetime, as_if: Callable[[list[Booking]], None]
) -> Foreseen:
    """Decided by the code that writes, from the same rows; writes nothing. `as_if` changes bookings in memory."""
    rule = rule_for(kind, circular, "")
    change = BulkChange(kind=kind, rule=rule, parameters={"message": circular.model_dump(mode="json")})
    total, rows = selection.bookings().count(), selection.bookings()
    seen = Foreseen(one_in=-(-total // AT_MOST) or 1)
    if seen.one_in > 1:
        rows = rows.annotate(place=F("pk") % seen.one_in).filter(place=0)
    last = 0
    while chunk := list(rows.select_related("customer").filter(pk__gt=last).order_by("pk")[:CHUNK]):
        last = chunk[-1].pk
        as_if(chunk)
        routes = Routes(booking.customer for booking in chunk)
        for booking in chunk:
            _count(seen, _delivery(change, booking, routes, now), now)
    return seen


def _count(seen: Foreseen, delivery: Delivery, now: datetime) -> None:
    seen.looked_at += 1
    if delivery.reason:
        seen.reasons[str(Reason(delivery.reason).label)] += 1
        return
    seen.channels[str(Channel(delivery.channel).label)] += 1
    seen.later += delivery.send_at > now
    if len(seen.examples) < SHOWN:
        try:
            shown = Example(delivery.channel, rendering.render(delivery, now=now))
        except wording.BadTemplate as exc:
            shown = Example(delivery.channel, None, str(exc))
        seen.examples.append(shown)
