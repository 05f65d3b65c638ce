"""What has to happen for some rules and some anchors. Called by `reminders.plan` and the previews; writes nothing.

A rule, as overridden for the anchor, makes one or more occurrences; each of them goes out by one channel. What
belongs to an occurrence is one group of deliveries: the waiting one, and those that were withdrawn or sent instead.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from django.db.models import prefetch_related_objects

from notifications import tenants, timing
from notifications.changes import Changes, Plan
from notifications.models import Booking, Delivery, Payment, ReminderRule
from notifications.occurrences import EVENTS, Anchor, empty, how_many, nominal, window
from notifications.overrides import Overrides, rule_of
from notifications.routes import UNREACHABLE, Routes

State, Reason = Delivery.State, Delivery.Reason
Kind, Status = ReminderRule.Anchor, Booking.Status

BOOKING_KINDS = (Kind.BOOKING_START, Kind.BOOKING_MADE, Kind.BOOKING_MOVED, Kind.BOOKING_CANCELLED)
BULK_KINDS = frozenset({Kind.BULK_MESSAGE, Kind.BULK_MOVE, Kind.BULK_CANCEL})  # see circulars.py
OF_CANCELLED = frozenset({Kind.BOOKING_CANCELLED, Kind.BULK_CANCEL})  # they speak of bookings that are off
NEWS = timedelta(minutes=5)  # what happened longer ago is not told as if it were new
# Skipped for one of these, a delivery may still go out when the reason is gone. Anything else has been decided.
RESTORABLE = frozenset(
    {Reason.LEAD_TIME_PAST, Reason.CANCELLED, Reason.PAID, Reason.DISPUTED, Reason.WRITTEN_OFF, Reason.CONFIRMED}
    | {Reason.RULE_OFF, Reason.QUIET_HOURS, Reason.OTHER_CHANNEL, Reason.NOT_CANCELLED}
    | UNREACHABLE
)
PAYMENT_OVER = {
    Payment.Status.PAID: Reason.PAID,
    Payment.Status.DISPUTED: Reason.DISPUTED,
    Payment.Status.WRITTEN_OFF: Reason.WRITTEN_OFF,
}


def decide(
    anchors: Sequence[Booking] | Sequence[Payment],
    changes: Changes,
    done: Plan,
    now: datetime,
    *,
    rules: Sequence[ReminderRule] | None = None,
    overrides: Overrides | None = None,
) -> list[Delivery]:
    """Collect in `changes` what has to happen to the deliveries of `anchors`, all of one kind, and at least one.

    Returns the deliveries of messages to many, which no rule of these makes: see `circulars.follow`.

    A tenant's own rule makes messages of its own anchors only.
    `rules` and `overrides` are those of the database, unless a preview tries others; deliveries of rules that are not
    among them are left alone. The number of queries does not depend on the number of anchors.
    """
    name, kinds = ("booking", BOOKING_KINDS) if isinstance(anchors[0], Booking) else ("payment", (Kind.PAYMENT_DUE,))
    of_whom = {"", *(anchor.tenant for anchor in anchors)}
    stored = ReminderRule.objects.filter(anchor__in=kinds, tenant__in=of_whom)
    chosen = [rule for rule in (stored if rules is None else rules) if rule.anchor in kinds]
    overrides = overrides or Overrides.of(chosen, of_whom)
    # What the caller has selected already is not fetched again.
    prefetch_related_objects(list(anchors), "customer", *([] if name == "booking" else ["booking"]))
    routes = Routes(anchor.customer for anchor in anchors)
    existing: dict[tuple[int, int], list[Delivery]] = defaultdict(list)
    deliveries = Delivery.objects.filter(**{f"{name}__in": anchors})
    if rules is not None:
        deliveries = deliveries.filter(rule__in=[rule.pk for rule in rules if rule.pk])
    for delivery in deliveries:
        existing[getattr(delivery, f"{name}_id"), delivery.rule_id].append(delivery)
    for anchor in anchors:
        for rule in (rule for rule in chosen if tenants.speaks_to(rule, anchor.tenant)):
            have = existing.pop((anchor.pk, rule.pk), [])
            _compare(overrides.apply(rule, anchor), anchor, have, routes, changes, done, now)
    left = list(chain.from_iterable(existing.values()))
    for delivery in left:  # of rules that are about something else by now
        if delivery.state == State.PLANNED and not delivery.bulk_id:
            changes.withdraw(delivery, Reason.RULE_OFF)
    return [delivery for delivery in left if delivery.bulk_id]


def unwanted(rule: ReminderRule, anchor: Anchor) -> str:
    """Why this rule's message about this anchor is not to go out, by whatever channel; empty if it is."""
    if isinstance(anchor, Payment):
        if anchor.status != Payment.Status.OPEN:
            return PAYMENT_OVER.get(Payment.Status(anchor.status), Reason.CANCELLED)
    elif rule.anchor not in OF_CANCELLED:
        if anchor.status != Status.BOOKED:
            return Reason.CANCELLED
    elif anchor.status != Status.CANCELLED and rule.active:
        return Reason.NOT_CANCELLED
    if not rule.active:
        return Reason.CALLED_OFF if rule.anchor in BULK_KINDS else Reason.RULE_OFF
    if rule.unless_confirmed and isinstance(anchor, Booking) and anchor.confirmed_at:
        return Reason.CONFIRMED
    return ""


def still_unwanted(delivery: Delivery) -> str:
    """The same for a delivery that is about to be sent, and why its channel does not reach the customer."""
    customer = delivery.customer
    return unwanted(rule_of(delivery), delivery.anchor) or Routes([customer]).why_not(customer, delivery.channel)


# --- What to do ----------------------------------------------------------------------------------------


def _compare(
    rule: ReminderRule,
    anchor: Anchor,
    have: list[Delivery],
    routes: Routes,
    changes: Changes,
    done: Plan,
    now: datetime,
) -> None:
    """Decide what has to happen for one rule and one anchor."""
    why_not = unwanted(rule, anchor)
    groups: dict[int, list[Delivery]] = defaultdict(list)
    for delivery in have:
        outdated = delivery.revision != anchor.revision
        if not outdated:
            groups[delivery.occurrence].append(delivery)
        if delivery.state == State.SENDING and (outdated or why_not):
            done.in_flight.append(delivery)
        elif delivery.state == State.PLANNED and (outdated or why_not):
            changes.withdraw(delivery, why_not or Reason.RESCHEDULED)
        elif outdated or why_not:
            done.kept += not outdated
    if why_not:
        if why_not == Reason.CONFIRMED and not groups:  # the others say themselves why there is nothing
            _Occurrence(rule, anchor, 0, [], routes, changes, done, now).end(why_not)
        return
    many = how_many(rule, anchor)
    for occurrence in range(many):
        _Occurrence(rule, anchor, occurrence, groups.pop(occurrence, []), routes, changes, done, now).decide()
    for delivery in chain.from_iterable(groups.values()):  # the rule was made to repeat less often
        if delivery.state == State.PLANNED:
            changes.withdraw(delivery, Reason.RULE_OFF)


@dataclass
class _Occurrence:
    """One message that is wanted, and its deliveries so far."""

    rule: ReminderRule
    anchor: Anchor
    number: int
    group: list[Delivery]
    routes: Routes
    changes: Changes
    done: Plan
    now: datetime

    def decide(self) -> None:
        if any(_is_decided(delivery) for delivery in self.group):
            self.done.kept += len(self.group)  # with a fallback that waits: it has the fence
            return
        planned = [delivery for delivery in self.group if delivery.state == State.PLANNED]
        channel, unreachable = self.routes.channel(self.rule, self.anchor.customer)
        current = next((delivery for delivery in self.group if delivery.channel == channel), None)
        when = self._when(current)
        why_not = unreachable or ("" if when else Reason.QUIET_HOURS)
        if why_not or when is None:
            self.end(why_not)
        elif not self.group:
            self._add(channel, when, Reason.LEAD_TIME_PAST if self._missed(when) else "")
        elif current and current.state == State.PLANNED:
            self._keep(current, when)
            self._withdraw_others(planned, current)
        elif self._still_to_come(current, when) or (planned and when.useful_until > self.now):
            others = self._withdraw_others(planned, None)
            if current:
                self.changes.restore(current, when, instead_of=others)
            else:
                self._add(channel, when, "", others)
        else:
            self.done.kept += len(self.group)

    def _when(self, current: Delivery | None) -> timing.Window | None:
        """Its window as first planned; or, if that is not the one it has, as it would be planned now."""
        since = min((delivery.created_at for delivery in self.group), default=self.now)
        when = window(self.rule, self.anchor, self.number, since)
        if current and current.state == State.PLANNED and when != timing.Window(current.send_at, current.useful_until):
            return window(self.rule, self.anchor, self.number, self.now)
        return when

    def _still_to_come(self, current: Delivery | None, when: timing.Window) -> bool:
        """Not what was too late when it was planned first, though the night has moved it to a time that is to come."""
        missed = current is not None and current.reason == Reason.LEAD_TIME_PAST and self._missed(when)
        return when.send_at > self.now and not missed

    def _missed(self, when: timing.Window) -> bool:
        late = NEWS if self.rule.anchor in EVENTS else timedelta()
        return nominal(self.rule, self.anchor, self.number).send_at + late <= self.now or empty(when)

    def end(self, reason: str) -> None:
        """It is not to go out: withdraw what waits, or record that there never was anything."""
        planned = [delivery for delivery in self.group if delivery.state == State.PLANNED]
        for delivery in planned:
            self.changes.withdraw(delivery, reason)
        if not self.group:
            when = nominal(self.rule, self.anchor, self.number)
            channel, _ = self.routes.channel(self.rule, self.anchor.customer)
            self._add(channel, when, Reason.LEAD_TIME_PAST if self._missed(when) else reason)
        self.done.kept += len(self.group) - len(planned)

    def _keep(self, current: Delivery, when: timing.Window) -> None:
        same = (current.send_at, current.useful_until) == (when.send_at, when.useful_until)
        if same and (current.moved_from == when.moved_from or when.send_at <= self.now):
            self.done.kept += 1
        elif when.send_at <= self.now:
            self.changes.withdraw(current, Reason.LEAD_TIME_PAST)
        else:
            self.changes.move(current, when)

    def _withdraw_others(self, planned: list[Delivery], current: Delivery | None) -> list[Delivery]:
        others = [delivery for delivery in planned if delivery is not current]
        for delivery in others:
            why = self.routes.why_not(self.anchor.customer, delivery.channel)
            self.changes.withdraw(delivery, why or Reason.OTHER_CHANNEL)
        return others

    def _add(self, channel: str, when: timing.Window, skip: str, instead_of: Sequence[Delivery] = ()) -> None:
        delivery = Delivery(
            tenant=self.anchor.tenant,
            rule=self.rule,
            customer_id=self.anchor.customer_id,
            channel=channel,
            revision=self.anchor.revision,
            occurrence=self.number,
            send_at=when.send_at,
            useful_until=when.useful_until,
            moved_from=when.moved_from,
            created_at=self.now,
            state=State.SKIPPED if skip else State.PLANNED,
            reason=skip,
        )
        if isinstance(self.anchor, Booking):
            delivery.booking = self.anchor
        else:
            delivery.payment = self.anchor
        self.changes.add(delivery, instead_of)


def _is_decided(delivery: Delivery) -> bool:
    """It went out, or must not for a reason that stays; or it goes out instead of one that a provider did not take."""
    if delivery.state == State.SKIPPED:
        return delivery.reason not in RESTORABLE
    return delivery.state != State.PLANNED or delivery.fallback_of_id is not None
