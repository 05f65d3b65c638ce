"""What will become of one customer's waiting deliveries when their time comes, if all goes well meanwhile.

Used by `simulation`. It follows `sending` and the intent fence on a clock of its own: nobody pays, cancels or moves,
every provider takes what it is given, and a message leaves at the moment it is due. Pure: neither database nor clock.
The promise: quiet hours, superseding, caps per day and digests decide here as they do there; a test compares the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush
from uuid import UUID

from notifications import crowding, timing
from notifications.models import Delivery
from notifications.occurrences import quiet_hours
from notifications.planning import Reason
from notifications.reminders import urgency


@dataclass(frozen=True)
class Fate:
    """What becomes of a delivery: it goes out `at`, or would have, but for `reason`."""

    delivery: Delivery
    at: datetime
    reason: str = ""
    withdrawn: bool = False  # by the planning, before its time


@dataclass
class Outlook:
    """What one customer is to get, from `now` on. Rules, anchors and the customer have to be loaded."""

    now: datetime
    waiting: list[Delivery] = field(default_factory=list)
    told: list[Delivery] = field(default_factory=list)  # sent, being sent or in doubt, of what is waited for
    had: list[tuple[str, datetime]] = field(default_factory=list)  # (kind of anchor, intent) of the last days

    def fates(self) -> Iterator[Fate]:
        """In the order in which they come about."""
        self._open = {delivery.pk: delivery for delivery in self.waiting}
        self._by_anchor: dict[tuple[int | None, int | None], list[Delivery]] = {}
        for delivery in [*self.waiting, *self.told]:
            self._by_anchor.setdefault(_about(delivery), []).append(delivery)
        self._went = {delivery.pk for delivery in self.told if delivery.outcome not in Delivery.UNREACHED}
        queue = [(max(one.send_at, self.now), *_rank(one, one.send_at)) for one in self.waiting]
        heapify(queue)
        while queue:
            at, _, _, pk = heappop(queue)
            if pk not in self._open:
                continue  # it went along with another
            delivery = self._open[pk]
            quiet = quiet_hours(delivery.rule, delivery.customer)
            loud = timing.out_of_quiet(at, delivery.send_at, delivery.useful_until, quiet)
            if loud is not None and loud > at:
                heappush(queue, (loud, *_rank(delivery, loud)))
                continue
            if loud is not None and self._waits(delivery, at):
                again = at + crowding.LOOK_AGAIN
                heappush(queue, (again, *_rank(delivery, again)))
                continue
            del self._open[pk]
            reason = self._why_not(delivery, at) if loud else Reason.QUIET_HOURS
            yield Fate(delivery, at, str(reason))
            if not reason:
                self._went.add(pk)
                self.had.append((delivery.rule.anchor, at))
                yield from self._taken_along(delivery, at)

    def _why_not(self, delivery: Delivery, at: datetime) -> str:
        """As the fence, in the order in which it tells."""
        if delivery.useful_until <= at:
            return Reason.TOO_LATE
        if any(other.pk in self._went for other in self._superseding(delivery, at)):
            return Reason.SUPERSEDED
        if delivery.rule.per_day is not None:
            begins, ends = crowding.local_day(at, delivery.customer.time_zone)
            today = sum(kind == delivery.rule.anchor and begins <= then < ends for kind, then in self.had)
            if today >= delivery.rule.per_day:
                return Reason.DAY_FULL
        return ""

    def _waits(self, late: Delivery, at: datetime) -> bool:
        """Whether a more relevant one goes, and nobody knows yet whether it did."""
        others = self._superseding(late, at) if late.useful_until > at else []
        return bool(others) and not any(other.pk in self._went for other in others)

    def _superseding(self, late: Delivery, at: datetime) -> list[Delivery]:
        others = (other for other in self._by_anchor[_about(late)] if other.send_at <= at)
        return [
            other
            for other in others
            if crowding.outranks(other, late)
            and (other.pk in self._went or (other.pk in self._open and other.useful_until > at))
        ]

    def _taken_along(self, lead: Delivery, at: datetime) -> Iterator[Fate]:
        """The parts of a digest, of several about one payment the last."""
        if not lead.rule.digest or lead.payment_id is None:
            return
        _, ends = crowding.local_day(at, lead.customer.time_zone)
        found: dict[int | None, Delivery] = {}
        for other in sorted(self._open.values(), key=lambda one: (one.meant_at, one.pk)):
            mine = other.channel == lead.channel and other.payment_id not in (None, lead.payment_id)
            if mine and other.rule.digest and other.rule.active and other.send_at < ends and other.useful_until > at:
                found[other.payment_id] = other
        for other in found.values():
            del self._open[other.pk]
            self._went.add(other.pk)
            yield Fate(other, max(other.send_at, self.now), str(Reason.IN_DIGEST))


def _about(delivery: Delivery) -> tuple[int | None, int | None]:
    return delivery.booking_id, delivery.payment_id


def _rank(delivery: Delivery, run_at: datetime) -> tuple[int, datetime, UUID]:
    """Of what is due at once the dispatcher takes the most urgent first, then what has been due for longest."""
    return -urgency(delivery.useful_until - delivery.send_at), run_at, delivery.pk
