"""A virtual clock: what would go out in the next days for the bookings and payments in the database.

Used by `manage.py simulate`. The plan is made by `planning.decide`, as `reminders.plan` does, and followed through by
`forecast`. The promise: nothing is written (no statement but SELECT is let through), and memory does not grow with the
database: anchors come in chunks, in the order of their customers, and of each customer only numbers are kept.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from notifications import planning, reconciler
from notifications.changes import CHUNK, Changes, Plan
from notifications.crowding import TOLD
from notifications.forecast import Fate, Outlook
from notifications.models import Booking, Delivery, ReminderRule
from notifications.occurrences import Anchor
from notifications.overrides import Overrides
from notifications.planning import Reason, State

DAY = timedelta(days=1)


@dataclass
class RuleSet:
    """Rules, stored or not, and what is different about them for some."""

    rules: Sequence[ReminderRule]
    overrides: Overrides

    @classmethod
    def stored(cls) -> "RuleSet":
        rules = list(ReminderRule.objects.all())
        return cls(rules, Overrides.of(rules))

    @classmethod
    def instead(cls, rules: Sequence[ReminderRule]) -> "RuleSet":
        """These and no others: a stored rule that is not among them is off, for everybody."""
        named = {rule.pk for rule in rules}
        off = [rule for rule in ReminderRule.objects.all() if rule.pk not in named]
        for rule in off:
            rule.active = False
        return cls([*rules, *off], Overrides.of([rule for rule in rules if rule.pk]))


@dataclass
class Walk:
    """What is to come of one customer's bookings, or payments, by one set of rules: all that is kept at a time."""

    outlook: Outlook
    settled: list[Fate] = field(default_factory=list)  # decided by the planning already

    def fates(self) -> list[Fate]:
        return [*self.settled, *self.outlook.fates()]


def simulate(
    now: datetime,
    sets: Sequence[RuleSet],
    *,
    tenant: str | None = None,
    looked: Callable[[int], None] = lambda number: None,
) -> Iterator[list[list[Fate]]]:
    """For each customer and kind of anchor, by each of the sets, what becomes of everything that is planned at `now`.

    `tenant` leaves out the bookings and payments of others. `looked` hears how many there were to look at. The number
    of queries per chunk does not depend on what is in it.
    """
    with reads_only():
        for anchors in _anchors(now, (rule for some in sets for rule in some.rules), tenant):
            open_walks: dict[int, list[Walk]] = {}
            for chunk in _chunks(anchors):
                looked(len(chunk))
                for place, rules in enumerate(sets):
                    _plan(chunk, rules, now, place, len(sets), open_walks)
                _had_lately(open_walks, chunk, now, sets)
                for customer in [pk for pk in open_walks if pk != chunk[-1].customer_id]:
                    yield [walk.fates() for walk in open_walks.pop(customer)]
            yield from ([walk.fates() for walk in walks] for walks in open_walks.values())


def number(now: datetime, *rules: ReminderRule, tenant: str | None = None) -> int:
    """How many bookings and payments there are to look at."""
    return sum(anchors.count() for anchors in _anchors(now, rules, tenant))


def _anchors(now: datetime, rules: Iterable[ReminderRule], tenant: str | None) -> list[QuerySet[Any]]:
    found = reconciler.upcoming(now, *rules)
    return found if tenant is None else [rows.filter(tenant=tenant) for rows in found]


@contextmanager
def reads_only() -> Iterator[None]:
    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        # PostgreSQL's way of asking for a server-side cursor is the other one that reads.
        if not sql.lstrip(" (").upper().startswith("SELECT"):
            raise RuntimeError(f"a simulation writes nothing, and was about to: {sql[:40]}")
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse):
        yield


def _chunks(anchors: QuerySet[Any]) -> Iterator[list[Anchor]]:
    """In the order of the customers, so that what one of them gets is known as a whole."""
    after = Q()
    ordered = anchors.select_related("customer").order_by("customer_id", "pk")
    while chunk := list(ordered.filter(after)[:CHUNK]):
        yield chunk
        customer, pk = chunk[-1].customer_id, chunk[-1].pk
        after = Q(customer_id__gte=customer) & (Q(customer_id__gt=customer) | Q(pk__gt=pk))


def _plan(
    chunk: list[Anchor], some: RuleSet, now: datetime, place: int, many: int, open_walks: dict[int, list[Walk]]
) -> None:
    """Sort what the planning says of the chunk, and what there is already, into the customers' walks."""
    done, changes = Plan(), Changes(_no_job)
    planning.decide(chunk, changes, done, now, rules=some.rules, overrides=some.overrides)  # type: ignore[arg-type]
    changes.foreseen(done)
    for anchor in chunk:
        open_walks.setdefault(anchor.customer_id, [Walk(Outlook(now)) for _ in range(many)])
    gone = {delivery.pk: delivery.reason for delivery in done.withdrawn}
    new = {delivery.pk: delivery for delivery in [*done.added, *done.moved]}
    for delivery in _existing(chunk, some, now):
        walk = open_walks[delivery.anchor.customer_id][place]
        if delivery.pk in gone:
            walk.settled.append(Fate(delivery, delivery.send_at, gone[delivery.pk], withdrawn=True))
        elif delivery.state in TOLD:
            walk.outlook.told.append(delivery)
        elif delivery.state == State.PLANNED or delivery.pk in new:
            changed = new.pop(delivery.pk, delivery)
            delivery.send_at, delivery.useful_until = changed.send_at, changed.useful_until
            delivery.moved_from = changed.moved_from
            walk.outlook.waiting.append(delivery)
        else:
            walk.settled.append(Fate(delivery, delivery.send_at, delivery.reason))
    for delivery in new.values():
        delivery.customer = delivery.anchor.customer
        open_walks[delivery.customer_id][place].outlook.waiting.append(delivery)
    for delivery in done.skipped:
        open_walks[delivery.customer_id][place].settled.append(Fate(delivery, delivery.send_at, delivery.reason))


def _existing(chunk: list[Anchor], some: RuleSet, now: datetime) -> Iterator[Delivery]:
    """The deliveries there are of the chunk: what waits, what was told, and what was skipped at this revision."""
    name = "booking" if isinstance(chunk[0], Booking) else "payment"
    anchors, rules = {anchor.pk: anchor for anchor in chunk}, {rule.pk: rule for rule in some.rules}
    wanted = Q(state__in=[State.PLANNED, *TOLD]) | (Q(send_at__gte=now - DAY) & ~Q(reason=Reason.RESCHEDULED))
    rows = Delivery.objects.filter(wanted, **{f"{name}__in": list(anchors)}, rule__in=[pk for pk in rules if pk])
    for delivery in rows.defer("detail"):
        anchor: Any = anchors[getattr(delivery, f"{name}_id")]
        if delivery.state == State.SKIPPED and delivery.revision != anchor.revision:
            continue
        setattr(delivery, name, anchor)
        delivery.rule, delivery.customer = rules[delivery.rule_id], anchor.customer
        yield delivery


def _had_lately(open_walks: dict[int, list[Walk]], chunk: list[Anchor], now: datetime, sets: Sequence[RuleSet]) -> None:
    """What the customers of the chunk got on this day of theirs, where a rule counts it."""
    if not any(rule.per_day is not None for some in sets for rule in some.rules):
        return
    told = Delivery.objects.filter(customer__in={anchor.customer_id for anchor in chunk}, state__in=TOLD)
    lately = told.filter(intent_at__gte=now - DAY * 2, intent_at__lte=now).select_related("rule")
    had: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for delivery in lately.only("customer_id", "intent_at", "rule__anchor"):
        had[delivery.customer_id].append((delivery.rule.anchor, delivery.intent_at or now))
    for customer, before in had.items():
        for walk in open_walks[customer]:
            walk.outlook.had = before.copy()


def _no_job(delivery: Delivery) -> Any:
    raise LookupError(f"a simulation makes no jobs, not for {delivery.pk} either")
