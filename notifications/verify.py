"""The promises, as questions to the database: each finds the rows that break one.

Run by `manage.py verify` and by the admin. The promise: reads only, and a row that is found is a broken promise or a
defect, never a matter of timing: what two people may have done in the same moment is left out by GRACE. All that can
be asked of a single delivery and of what it is about is counted in one pass over the deliveries; the other questions
are a statement each.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Count, Exists, F, Func, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual

from jobs import ledger
from notifications import gaps, timing
from notifications.models import Booking, BulkChange, Consent, Delivery, Payment, ReminderRule
from notifications.planning import OF_CANCELLED
from notifications.reminders import deliver

State, Kind = Delivery.State, ReminderRule.Anchor
GRACE = timedelta(minutes=1)  # a cancel that meets an intent answers "in flight": both are within this time
SETTLED = timedelta(minutes=5)  # `settle` runs every minute; what it has not ended after this, nobody will
SENT, PLANNED = Q(state=State.SENT), Q(state=State.PLANNED)
REPLAN, WHY = "run `manage.py schedule_reminders`", "see `manage.py why`"
CLOCK, WORKERS = "is a machine's clock wrong?", "are workers and beat running?"
OVER = Q(state__in=[State.SENT, State.REFUSED, State.IN_DOUBT, State.SKIPPED]) & ~Q(reason=Delivery.Reason.IN_DIGEST)
ONE_TENANT, MIXED = "a customer and all about them are of one tenant", "who changed a tenant? Set it as the customer's"
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class Check:
    """A promise and the rows that break it: deliveries with a condition, or what `question` finds."""

    name: str
    promise: str
    advice: str
    condition: Q | None = None
    question: Callable[[], QuerySet[Any]] | None = None

    def broken(self) -> QuerySet[Any]:
        if self.question is not None:
            return self.question()
        return Delivery.objects.filter(self.condition or Q())


def counted() -> dict[str, int]:
    """How many deliveries break each of the promises that have a condition, by name. One statement."""
    conditions = {check.name: check.condition for check in CHECKS if check.condition is not None}
    named = {f"n{place}": Count("pk", filter=condition) for place, condition in enumerate(conditions.values())}
    return dict(zip(conditions, Delivery.objects.aggregate(**named).values(), strict=True))


@contextmanager
def with_room() -> Iterator[None]:
    """PostgreSQL would compile these few large questions for as long as they run, and sort them on its disk."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        yield


# --- Of a single delivery -------------------------------------------------------------------------------


class Later(Func):
    """A moment so much later. On SQLite Django would call Python for each row, which takes ten times as long."""

    output_field = models.DateTimeField()

    def __init__(self, moment: Any, by: timedelta) -> None:
        super().__init__(moment)
        self.by = by

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        template = (
            f"STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', %(expressions)s, '{self.by.total_seconds()} seconds')"
        )
        return super().as_sql(compiler, connection, template=template)

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> Any:
        template = f"(%(expressions)s + interval '{self.by.total_seconds()} seconds')"
        return super().as_sql(compiler, connection, template=template)


class Shown(Func):
    """What the clocks of a zone, which is a column, show at a moment."""

    output_field = models.TimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        return super().as_sql(compiler, connection, template="django_datetime_cast_time(%(expressions)s, 'UTC')")

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> Any:
        return super().as_sql(compiler, connection, template="(%(expressions)s)::time", arg_joiner=" AT TIME ZONE ")


def _before(column: str, later: str) -> Q:
    """The cheap half first: it is false for nearly all rows."""
    return Q(**{f"{column}__lt": F(later)}) & Q(LessThan(Later(F(column), GRACE), F(later)))


def _in_quiet_hours(column: str) -> Q:
    """Of rules that have quiet hours: as `timing.Quiet.covers`."""
    shown, begins, ends = Shown(F(column), F("customer__time_zone")), F("rule__quiet_from"), F("rule__quiet_until")
    after, before = Q(GreaterThanOrEqual(shown, begins)), Q(LessThan(shown, ends))
    by_day = Q(LessThanOrEqual(begins, ends))
    return (by_day & after & before) | (~by_day & (after | before))


AFTER_CLOSE = (
    SENT
    & (_before("booking__closed_at", "intent_at") | _before("payment__closed_at", "intent_at"))
    & ~Q(rule__anchor__in=OF_CANCELLED)
)
NOT_CALLED_OFF = SENT & _before("bulk__cancelled_at", "intent_at")
AFTER_MOVE = SENT & (
    (Q(booking__revision__gt=F("revision")) & _before("booking__moved_at", "intent_at"))
    | (Q(payment__revision__gt=F("revision")) & _before("payment__moved_at", "intent_at"))
)
AFTER_START = SENT & Q(
    intent_at__gte=F("booking__starts_at"),
    revision=F("booking__revision"),
    rule__anchor=Kind.BOOKING_START,
    rule__offset__lt=timedelta(0),
)
MISDIRECTED = Q(state__in=[State.SENT, State.PLANNED]) & (
    (Q(revision=F("booking__revision")) & ~Q(customer=F("booking__customer")))
    | (Q(revision=F("payment__revision")) & ~Q(customer=F("payment__customer")))
)
# One that is planned for quiet hours; or was sent late and in them, by a rule that has not been changed since.
LATE_AT_NIGHT = (
    SENT
    & Q(GreaterThan(F("intent_at"), Later(F("send_at"), timing.PUNCTUAL + GRACE)))
    & Q(rule__quiet_from__isnull=False, intent_at__gt=F("rule__changed_at"))
    & _in_quiet_hours("intent_at")
    & ~_in_quiet_hours("send_at")
)
PLANNED_AT_NIGHT = PLANNED & Q(rule__quiet_from__isnull=False, fallback_of__isnull=True, send_at__gt=Now())
PLANNED_AT_NIGHT &= Q(useful_until__gt=F("send_at")) & _in_quiet_hours("send_at")
AT_NIGHT = LATE_AT_NIGHT | PLANNED_AT_NIGHT
# Of what it is about, or by whose rule; those are of their customer's tenant, and so is it.
FOREIGN = ~(Q(rule__tenant="") | Q(rule__tenant=F("tenant")))
FOREIGN |= Q(booking__isnull=False) & ~Q(tenant=F("booking__tenant"))
FOREIGN |= Q(payment__isnull=False) & ~Q(tenant=F("payment__tenant"))
FOREIGN |= Q(bulk__isnull=False) & ~Q(tenant=F("bulk__tenant"))
SILENT = Q(state=State.SKIPPED, reason="") | (SENT & (Q(sent_at__isnull=True) | Q(intent_at__isnull=True)))
CONTRADICTING = Q(state__in=[State.SKIPPED, State.PLANNED], sent_at__isnull=False)
FORGOTTEN = PLANNED & Q(useful_until__lt=Now() - SETTLED, send_at__lt=Now() - SETTLED)


# --- Of several rows ------------------------------------------------------------------------------------


def sent_twice() -> QuerySet[Any]:
    about = ("booking", "payment", "rule", "occurrence", "revision")
    groups = Delivery.objects.filter(SENT).order_by().values(*about).annotate(times=Count("pk"), last=Max("sent_at"))
    twice: QuerySet[Any] = groups.filter(times__gt=1)
    return twice


def one_window() -> QuerySet[Any]:
    """A repetition, or one of a later revision, that was sent for the very moment of another."""
    same = Delivery.objects.filter(SENT, rule=OuterRef("rule"), send_at=OuterRef("send_at")).exclude(pk=OuterRef("pk"))
    other = same.exclude(occurrence=OuterRef("occurrence"), revision=OuterRef("revision"))
    of_same = Q(Exists(other.filter(booking=OuterRef("booking")))) | Q(
        Exists(other.filter(payment=OuterRef("payment")))
    )
    return Delivery.objects.filter(SENT & (Q(occurrence__gt=0) | Q(revision__gt=1)), of_same)


def accepted_twice() -> QuerySet[Any]:
    """One message of a provider for two deliveries. The ids that are there twice are found in their index."""
    ids = Delivery.objects.filter(~Q(provider_id="")).order_by().values("provider_id")
    several = ids.annotate(times=Count("*")).filter(times__gt=1).values("provider_id")
    with_id = Delivery.objects.filter(SENT, provider_id__in=several).order_by().values("channel", "provider_id")
    return with_id.annotate(times=Count("pk")).filter(times__gt=1)


def after_refusal() -> QuerySet[Any]:
    """Messages to people who had said before that they do not want them."""
    said_no = Consent.objects.filter(customer=OuterRef("customer"), channel=OuterRef("channel"), granted=False)
    said_no = said_no.filter(
        Q(changed_at__lt=OuterRef("intent_at")), LessThan(Later(F("changed_at"), GRACE), OuterRef("intent_at"))
    )
    return Delivery.objects.filter(SENT & Q(Exists(said_no)))


def orphaned() -> QuerySet[Any]:
    """Deliveries that wait for a job that is not there, or is over."""
    waiting = Delivery.objects.filter(state__in=[State.PLANNED, State.SENDING], created_at__lt=Now() - SETTLED)
    return waiting.exclude(ledger.is_open(OuterRef("pk")))


def abandoned() -> QuerySet[Any]:
    """Deliveries that have been on their way for long, and no worker has them."""
    sending = Delivery.objects.filter(state=State.SENDING, intent_at__lt=Now() - SETTLED)
    return sending.exclude(
        Exists(ledger.Job.objects.filter(pk=OuterRef("pk"), state=ledger.S.RUNNING, lease_until__gt=Now()))
    )


def stray() -> QuerySet[Any]:
    """Jobs that will send a delivery that is not there. Which ones have none is asked of two indexes alone."""
    none = ledger.Job.objects.unfinished().exclude(Exists(Delivery.objects.filter(pk=OuterRef("pk")))).values("pk")
    return ledger.Job.objects.filter(pk__in=none, task=deliver.name, created_at__lt=Now() - SETTLED)


def disagreeing() -> QuerySet[Any]:
    """Jobs that wait for a later time than their delivery says, or though it is over (a retry is due at once)."""
    jobs = ledger.Job.objects.filter(task=deliver.name, state=ledger.S.SCHEDULED, run_at__gt=Now() + SETTLED)
    later = Q(send_at__lt=OuterRef("run_at")) & Q(LessThan(Later(F("send_at"), GRACE), OuterRef("run_at")))
    theirs = Delivery.objects.filter(OVER | (PLANNED & Q(send_at__gt=Now()) & later), pk=OuterRef("pk"))
    return jobs.filter(Exists(theirs))


def half_done() -> QuerySet[Any]:
    """Changes to many that nobody works on any more, though they are neither done nor called off."""
    begun = BulkChange.objects.filter(finished_at=None, cancelled_at=None, created_at__lt=Now() - SETTLED)
    return begun.exclude(ledger.is_open(OuterRef("job_id")))


def left_out() -> QuerySet[Any]:
    """Messages to many that say nothing, not even why not, about a booking that was worked through."""
    recent = BulkChange.objects.filter(rule__isnull=False, created_at__gt=Now() - RECENT)
    mine = Count("deliveries", filter=Q(deliveries__fallback_of=None))
    left: QuerySet[Any] = recent.annotate(about=mine).filter(about__lt=F("done"))
    return left


def foreign_bookings() -> QuerySet[Any]:
    return Booking.objects.exclude(tenant=F("customer__tenant"))


def foreign_payments() -> QuerySet[Any]:
    of_another = Q(booking__isnull=False) & ~Q(tenant=F("booking__tenant"))
    return Payment.objects.filter(~Q(tenant=F("customer__tenant")) | of_another)


def foreign_jobs() -> QuerySet[Any]:
    """Jobs of deliveries. One of the two has a tenant if they differ, and those are few or have an index."""
    theirs, none = Delivery.objects.filter(tenant__gt=""), Delivery.objects.filter(tenant="", pk=OuterRef("pk"))
    job = ledger.Job.objects.filter(pk=OuterRef("pk")).exclude(tenant=OuterRef("tenant"))
    astray = Q(pk__in=theirs.filter(Exists(job)).values("pk")) | (Q(tenant__gt="") & Q(Exists(none)))
    return ledger.Job.objects.filter(astray, task=deliver.name)


CHECKS = (
    Check("missing bookings", "every rule has planned or explained", REPLAN, question=gaps.bookings),
    Check("missing payments", "every rule has planned or explained", REPLAN, question=gaps.payments),
    Check("sent twice", "a reminder goes out once", WHY, question=sent_twice),
    Check("one window", "one moment, one message of a rule", WHY, question=one_window),
    Check("accepted twice", "a message is one delivery's", "see both in the admin", question=accepted_twice),
    Check("after a close", "cancelled or paid means silence", WHY, AFTER_CLOSE),
    Check("after a move", "nothing is sent of an earlier time", WHY, AFTER_MOVE),
    Check("after a refusal", "who said no hears no more", "see the customer's consents", question=after_refusal),
    Check("misdirected", "a reminder goes to whom it concerns", WHY, MISDIRECTED),
    Check("early", "nothing goes out before its time", CLOCK, SENT & Q(intent_at__lt=F("send_at"))),
    Check("late", "nothing goes out once it is of no use", CLOCK, SENT & Q(intent_at__gte=F("useful_until"))),
    Check("after the start", "a reminder comes before what it reminds of", CLOCK, AFTER_START),
    Check("in quiet hours", "nobody is woken", "did customers change their zone? " + REPLAN, AT_NIGHT),
    Check("unexplained", "every decision has a reason", "look at them in the admin", SILENT),
    Check("contradicting", "withdrawn means not sent", "look at them in the admin", CONTRADICTING),
    Check("forgotten", "nothing is lost", WORKERS, FORGOTTEN),
    Check("orphaned", "every open delivery has its job", "is beat running? `settle` ends them", question=orphaned),
    Check("abandoned", "what is being sent has a worker", WORKERS + " Is a queue paused?", question=abandoned),
    Check("stray", "every job has its delivery", "cancel them in the admin", question=stray),
    Check("disagreeing", "a job and its delivery agree", "see both in the admin", question=disagreeing),
    Check("half done", "a change to many is made whole", "run its job again, or call it off", question=half_done),
    Check("left out", "everybody is written to, or told why not", WHY, question=left_out),
    Check("not called off", "called off means silence", WHY, NOT_CALLED_OFF),
    Check("foreign bookings", ONE_TENANT, MIXED, question=foreign_bookings),
    Check("foreign payments", ONE_TENANT, MIXED, question=foreign_payments),
    Check("foreign deliveries", ONE_TENANT, MIXED, FOREIGN),
    Check("foreign jobs", ONE_TENANT, MIXED, question=foreign_jobs),
)
