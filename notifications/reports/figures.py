"""What a report counts, as plain data: of messages, bookings, payments and jobs. The effect of reminders: `effect`.

Called by `reports`. A fixed number of statements: each goes by an index and reads the rows of the period alone, those
of one tenant or of all. The promise: no name, address or text of a customer is among the figures.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from pydantic import BaseModel, Field

from jobs.ledger import Job
from notifications import punctuality
from notifications.models import Booking, Channel, Delivery, Payment, ReminderRule
from notifications.reports.effect import Effect, effect
from notifications.reports.periods import Period

MOST_SENT = 10_000_000  # whose lateness is looked at
MOST_REMINDERS = 4  # a payment that took more is told together with those that took so many
State, Outcome = Delivery.State, Delivery.Outcome
RETURNED = (Outcome.BOUNCED, Outcome.COMPLAINED, Outcome.FAILED)
OVER = (Job.State.SUCCEEDED, Job.State.FAILED, Job.State.CANCELLED, Job.State.EXPIRED)
LookAround = Callable[[str], None]


class Messages(BaseModel):
    """Of one channel. What was sent in the period; and of what was due in it, what did not go."""

    channel: str
    sent: int = 0
    delivered: int = 0  # of those sent: the provider said so
    returned: int = 0  # bounced, complained of, or failed on its way
    refused: int = 0
    in_doubt: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)  # by reason
    by_part: list[int]  # sent in each hour of a day, or on each day


class Lateness(BaseModel):
    """In seconds, from due to taken by the provider."""

    number: int
    p50: float | None
    p95: float | None
    p99: float | None
    worst: float | None


class Bookings(BaseModel):
    made: int = 0
    imported: int = 0
    moved: int = 0  # each once, when it was moved last
    cancelled: int = 0
    completed: int = 0
    no_show: int = 0


class Paid(BaseModel):
    """Payments that were paid in full within the period, by the number of reminders that had gone out before."""

    on_time: list[int]  # on the due date by its own clocks, or before
    late: list[int]


class Task(BaseModel):
    """The jobs of a task that ended in the period."""

    task: str
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    retried: int = 0  # of all these: tried again after an error or the loss of a worker


class Figures(BaseModel):
    messages: list[Messages]
    lateness: Lateness
    bookings: Bookings
    effect: Effect
    paid: Paid
    jobs: list[Task]


def count(period: Period, tenant: str, look_around: LookAround = lambda what: None) -> Figures:
    """`tenant` empty: all. `look_around` is told what comes next; what it raises ends the counting."""
    look_around("messages")
    messages = _messages(period, tenant)
    look_around("lateness")
    late = _lateness(period, tenant)
    look_around("bookings")
    bookings = _bookings(period, tenant)
    look_around("effect")
    reminded = effect(period, tenant)
    look_around("payments")
    paid = _paid(period, tenant)
    look_around("jobs")
    return Figures(
        messages=messages, lateness=late, bookings=bookings, effect=reminded, paid=paid, jobs=_jobs(period, tenant)
    )


def within(rows: QuerySet[Any], column: str, period: Period, tenant: str) -> QuerySet[Any]:
    """Those whose moment lies in the period. It says what partial indexes say: SQLite asks for that."""
    wanted = {f"{column}__isnull": False, f"{column}__gte": period.begins, f"{column}__lt": period.ends}
    if tenant:
        wanted |= {"tenant": tenant, "tenant__gt": ""}
    return rows.filter(**wanted).order_by()


def _messages(period: Period, tenant: str) -> list[Messages]:
    parts = period.parts
    found = {name: Messages(channel=name, by_part=[0] * len(parts)) for name in Channel.values}
    sent = within(Delivery.objects.all(), "sent_at", period, tenant).annotate(part=_part("sent_at", parts))
    for channel, outcome, part, number in sent.values_list("channel", "outcome", "part").annotate(n=Count("pk")):
        row = found[channel]
        row.sent += number
        row.by_part[part] += number
        row.delivered += number if outcome == Outcome.DELIVERED else 0
        row.returned += number if outcome in RETURNED else 0
    unsent = Delivery.objects.filter(state__in=[State.SKIPPED, State.REFUSED, State.IN_DOUBT])
    due = within(unsent, "send_at", period, tenant).values_list("channel", "state", "reason").annotate(n=Count("pk"))
    for channel, state, reason, number in due:
        row = found[channel]
        if state == State.SKIPPED:
            row.skipped[reason] = row.skipped.get(reason, 0) + number
        elif state == State.REFUSED:
            row.refused += number
        else:
            row.in_doubt += number
    return list(found.values())


def _part(column: str, parts: list[datetime]) -> Case:
    """Which of the parts a moment lies in. By their beginnings, which know of the clocks' changes."""
    whens = [When(**{f"{column}__lt": begins}, then=Value(number)) for number, begins in enumerate(parts[1:])]
    return Case(*whens, default=Value(max(len(parts) - 1, 0)), output_field=IntegerField())


def _lateness(period: Period, tenant: str) -> Lateness:
    whose = {tenant} if tenant else None
    found = punctuality.lateness(period.begins, whose, until=period.ends, latest=MOST_SENT)
    spans = {
        name: None if (span := getattr(found, name)) is None else span.total_seconds()
        for name in ("p50", "p95", "p99", "worst")
    }
    return Lateness(number=found.number, **spans)


def _bookings(period: Period, tenant: str) -> Bookings:
    found = Bookings()
    made = within(Booking.objects.all(), "created_at", period, tenant)
    numbers = made.aggregate(all=Count("pk"), here=Count("made_at"))
    found.made, found.imported = numbers["here"], numbers["all"] - numbers["here"]
    found.moved = within(Booking.objects.all(), "moved_at", period, tenant).count()
    closed = within(Booking.objects.all(), "closed_at", period, tenant)
    for status, number in closed.values_list("status").annotate(n=Count("pk")):
        if status != Booking.Status.BOOKED:
            setattr(found, status, number)
    return found


def _paid(period: Period, tenant: str) -> Paid:
    """Row by row, since each has its own clocks; never all in memory."""
    paid = Payment.objects.filter(status__in=[Payment.Status.PAID, Payment.Status.REFUNDED])
    rows = within(paid, "closed_at", period, tenant).annotate(reminders=_reminders())
    numbers: Counter[tuple[bool, int]] = Counter()
    for due_on, zone, closed_at, reminders in rows.values_list(
        "due_on", "time_zone", "closed_at", "reminders"
    ).iterator(chunk_size=5_000):
        on_time = closed_at.astimezone(ZoneInfo(zone)).date() <= due_on
        numbers[on_time, min(reminders, MOST_REMINDERS)] += 1
    each = range(MOST_REMINDERS + 1)
    return Paid(on_time=[numbers[True, n] for n in each], late=[numbers[False, n] for n in each])


def _reminders() -> Coalesce:
    """How many had gone out when the payment was closed, alone or within a digest."""
    sent = Q(sent_at__lte=OuterRef("closed_at"))
    in_digest = Q(reason=Delivery.Reason.IN_DIGEST, digest__sent_at__lte=OuterRef("closed_at"))
    mine = Delivery.objects.filter(sent | in_digest, payment=OuterRef("pk"))
    mine = mine.filter(rule__anchor=ReminderRule.Anchor.PAYMENT_DUE).order_by()
    return Coalesce(Subquery(mine.values("payment").annotate(n=Count("pk")).values("n")), 0)


def _jobs(period: Period, tenant: str) -> list[Task]:
    """Ordered by what needs looking at."""
    over = within(Job.objects.filter(state__in=OVER), "finished_at", period, tenant)
    tried_again = Q(failures__gt=1) | Q(failures__gt=0) & ~Q(state=Job.State.FAILED)  # the last failure ended it
    counts = over.values_list("task", "state").annotate(n=Count("pk"), again=Count("pk", filter=tried_again))
    found: dict[str, Task] = {}
    for task, state, number, again in counts:
        row = found.setdefault(task, Task(task=task))
        setattr(row, state, number)
        row.retried += again
    return sorted(found.values(), key=lambda row: (-row.failed, -row.retried, row.task))
