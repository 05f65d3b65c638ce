"""The changes that a plan found necessary, applied with a few statements for all of them.

Used by `reminders.plan`. Each kind of change is one guarded UPDATE per chunk, on rows locked in one order; rows that
somebody else moved on meanwhile are left alone and told about.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import translation

from jobs import ledger
from notifications import guarantees
from notifications.models import Delivery
from notifications.timing import Window

State, Reason = Delivery.State, Delivery.Reason
CHUNK = 500


@dataclass
class Plan:
    """What one `plan` did, as deliveries."""

    added: list[Delivery] = field(default_factory=list)
    moved: list[Delivery] = field(default_factory=list)
    withdrawn: list[Delivery] = field(default_factory=list)  # it will not go out any more
    in_flight: list[Delivery] = field(default_factory=list)  # meant to be withdrawn, but being sent right now
    skipped: list[Delivery] = field(default_factory=list)  # recorded, with the reason why it will never go out
    kept: int = 0

    @property
    def changes(self) -> int:
        return len(self.added) + len(self.moved) + len(self.withdrawn) + len(self.skipped)


class Changes:
    """Collected by kind; `job_for` makes the job of a delivery."""

    def __init__(self, job_for: Callable[[Delivery], ledger.Job]) -> None:
        self._job_for = job_for
        self._add: list[Delivery] = []
        self._move: list[Delivery] = []
        self._restore: list[Delivery] = []
        self._withdraw: dict[str, list[Delivery]] = defaultdict(list)
        self._instead_of: dict[UUID, Sequence[Delivery]] = {}

    def add(self, delivery: Delivery, instead_of: Sequence[Delivery] = ()) -> None:
        """A new row. Not added if one of `instead_of`, which this plan withdraws, is being sent already."""
        self._add.append(delivery)
        self._instead_of[delivery.pk] = instead_of

    def move(self, delivery: Delivery, window: Window) -> None:
        _put(delivery, window)
        self._move.append(delivery)

    def restore(self, delivery: Delivery, window: Window, *, instead_of: Sequence[Delivery] = ()) -> None:
        _put(delivery, window)
        delivery.reason = ""
        self._restore.append(delivery)
        self._instead_of[delivery.pk] = instead_of

    def withdraw(self, delivery: Delivery, reason: str) -> None:
        self._withdraw[reason].append(delivery)

    def foreseen(self, done: Plan) -> None:
        """What `apply` would do, if nobody changes anything meanwhile. Writes nothing."""
        done.added = [delivery for delivery in self._add if delivery.state == State.PLANNED] + self._restore
        done.skipped = [delivery for delivery in self._add if delivery.state == State.SKIPPED]
        done.moved = self._move
        for reason, deliveries in self._withdraw.items():
            for delivery in deliveries:
                delivery.reason = reason
            done.withdrawn += deliveries

    def apply(self, done: Plan) -> None:
        """Each kind is one guarded UPDATE per chunk; rows that somebody else moved on meanwhile are left alone."""
        for reason, deliveries in self._withdraw.items():
            _withdraw(deliveries, reason, done)
        new = self._unless_in_flight(self._add, done)
        done.added = [delivery for delivery in new if delivery.state == State.PLANNED]
        done.skipped = [delivery for delivery in new if delivery.state == State.SKIPPED]
        Delivery.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)
        ledger.enqueue_many([self._job_for(delivery) for delivery in done.added])
        moved = _set_window(self._move, State.PLANNED)
        ledger.reschedule({delivery.pk: (delivery.send_at, None) for delivery in moved})
        restored = _set_window(self._unless_in_flight(self._restore, done), State.SKIPPED)
        ledger.enqueue_many([self._job_for(delivery) for delivery in restored])  # those that never had a job
        ledger.retry([delivery.pk for delivery in restored])
        ledger.reschedule({delivery.pk: (delivery.send_at, None) for delivery in restored})
        done.moved, done.added = moved, done.added + restored

    def _unless_in_flight(self, deliveries: list[Delivery], done: Plan) -> list[Delivery]:
        """Without those that were to go out instead of one that has just begun to: the customer would get both."""
        gone = {delivery.pk for delivery in done.withdrawn}
        return [
            delivery
            for delivery in deliveries
            if all(other.pk in gone for other in self._instead_of.get(delivery.pk, ()))
        ]


def _withdraw(deliveries: list[Delivery], reason: str, done: Plan) -> None:
    for start in range(0, len(deliveries), CHUNK):
        some = {delivery.pk: delivery for delivery in deliveries[start : start + CHUNK]}
        rows = in_order(Delivery.objects.filter(pk__in=some))
        rows.filter(state=State.PLANNED).update(**guarantees.unless_in_doubt(State.SKIPPED, reason=reason))
        with translation.override(settings.LANGUAGE_CODE):  # stored: not in the language of whoever asked
            why = str(Reason(reason).label)
        ledger.cancel(some, why)
        for delivery in rows.select_related("digest"):
            (done.withdrawn if delivery.fate == State.SKIPPED else done.in_flight).append(delivery)


def _put(delivery: Delivery, window: Window) -> None:
    delivery.send_at, delivery.useful_until = window.send_at, window.useful_until
    delivery.moved_from = window.moved_from


def _set_window(deliveries: list[Delivery], state: str) -> list[Delivery]:
    moved: list[Delivery] = []
    for start in range(0, len(deliveries), CHUNK):
        some = {delivery.pk: delivery for delivery in deliveries[start : start + CHUNK]}
        send_at = ledger.ById({pk: delivery.send_at for pk, delivery in some.items()})
        until = ledger.ById({pk: delivery.useful_until for pk, delivery in some.items()})
        rows = in_order(Delivery.objects.filter(pk__in=some))
        moved_from = ledger.ById({pk: delivery.moved_from for pk, delivery in some.items()})
        window = {"send_at": send_at, "useful_until": until, "moved_from": moved_from}
        rows.filter(state=state).update(state=State.PLANNED, reason="", **window)
        planned = set(rows.filter(state=State.PLANNED).values_list("pk", flat=True))
        moved += [delivery for pk, delivery in some.items() if pk in planned]
    return moved


def in_order(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Lock the rows in one order, or two changes of many rows deadlock; inside a transaction."""
    return Delivery.objects.filter(pk__in=list(rows.select_for_update().order_by("pk").values_list("pk", flat=True)))
