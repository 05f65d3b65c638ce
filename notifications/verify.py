"""The promises, as questions to the database: each finds the rows that break one.

Run by `manage.py verify` and by the admin. The promise: reads only, one statement per question, and a row that is
found is a broken promise or a defect, never a matter of timing: what two people may have done in the same moment is
left out by GRACE.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from jobs import ledger
from notifications.models import Booking, Consent, Delivery, Payment, ReminderRule, RuleOverride

State = Delivery.State
GRACE = timedelta(minutes=1)  # a cancel that meets an intent answers "in flight": both are within this time
SETTLED = timedelta(minutes=5)  # `settle` runs every minute; what it has not ended after this, nobody will
NOTICE = ReminderRule.Anchor.BOOKING_CANCELLED


@dataclass(frozen=True)
class Check:
    """A promise and the rows that break it."""

    name: str
    promise: str
    advice: str
    broken: Callable[[], QuerySet[Any]]


def _sent() -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.SENT)


def missing_bookings() -> QuerySet[Any]:
    """Bookings still on for which an active rule has no delivery, sent or explained, at their revision."""
    rules = ReminderRule.objects.filter(active=True, anchor=ReminderRule.Anchor.BOOKING_START)
    return _missing(Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=Now()), "booking", rules)


def missing_payments() -> QuerySet[Any]:
    rules = ReminderRule.objects.filter(active=True, anchor=ReminderRule.Anchor.PAYMENT_DUE)
    return _missing(Payment.objects.filter(status=Payment.Status.OPEN), "payment", rules)


def _missing(anchors: QuerySet[Any], name: str, rules: QuerySet[ReminderRule]) -> QuerySet[Any]:
    """An anchor is whole when it has deliveries of as many rules as there are, less those that are off for it."""
    wanted = list(rules.values_list("pk", flat=True))
    service, location = ("service", "location") if name == "booking" else ("booking__service", "booking__location")
    off = RuleOverride.objects.filter(
        Q(customer__isnull=True) | Q(customer=OuterRef("customer")),
        Q(service="") | Q(service=OuterRef(service)),
        Q(location="") | Q(location=OuterRef(location)),
        rule__in=wanted,
        active=False,
    )
    has = Delivery.objects.filter(**{name: OuterRef("pk")}, revision=OuterRef("revision"), rule__in=wanted)
    counted = anchors.annotate(has=_number_of_rules(has, name), off=_number_of_rules(off, "active"))
    short: QuerySet[Any] = counted.filter(has__lt=len(wanted) - F("off"))
    return short


def _number_of_rules(rows: QuerySet[Any], one_value: str) -> Coalesce:
    """How many rules the rows are about; `one_value` is a column that is the same in all of them."""
    return Coalesce(Subquery(rows.order_by().values(one_value).annotate(n=Count("rule", distinct=True)).values("n")), 0)


def sent_twice() -> QuerySet[Any]:
    about = ("booking", "payment", "rule", "occurrence", "revision")
    groups = _sent().order_by().values(*about).annotate(times=Count("pk"), last=Max("sent_at"))
    twice: QuerySet[Any] = groups.filter(times__gt=1)
    return twice


def accepted_twice() -> QuerySet[Any]:
    """One message of a provider for two deliveries."""
    with_id = _sent().exclude(provider_id="").order_by().values("channel", "provider_id")
    return with_id.annotate(times=Count("pk")).filter(times__gt=1)


def after_close() -> QuerySet[Any]:
    over = Q(booking__closed_at__lt=F("intent_at") - GRACE) | Q(payment__closed_at__lt=F("intent_at") - GRACE)
    return _sent().filter(over).exclude(rule__anchor=NOTICE)


def after_move() -> QuerySet[Any]:
    outdated = Q(booking__revision__gt=F("revision"), booking__moved_at__lt=F("intent_at") - GRACE)
    outdated |= Q(payment__revision__gt=F("revision"), payment__moved_at__lt=F("intent_at") - GRACE)
    return _sent().filter(outdated)


def after_refusal() -> QuerySet[Any]:
    """Messages to people who had said before that they do not want them."""
    said_no = Consent.objects.filter(customer=OuterRef("customer"), channel=OuterRef("channel"), granted=False)
    return _sent().filter(Exists(said_no.filter(changed_at__lt=OuterRef("intent_at") - GRACE)))


def early() -> QuerySet[Any]:
    return _sent().filter(intent_at__lt=F("send_at"))


def late() -> QuerySet[Any]:
    return _sent().filter(intent_at__gte=F("useful_until"))


def after_start() -> QuerySet[Any]:
    before = Q(rule__anchor=ReminderRule.Anchor.BOOKING_START, rule__offset__lt=timedelta(0))
    return _sent().filter(before, revision=F("booking__revision"), intent_at__gte=F("booking__starts_at"))


def unexplained() -> QuerySet[Any]:
    silent = Q(state=State.SKIPPED, reason="") | Q(state=State.SENT, sent_at=None) | Q(state=State.SENT, intent_at=None)
    return Delivery.objects.filter(silent)


def contradicting() -> QuerySet[Any]:
    """Said to be withdrawn, and sent all the same."""
    return Delivery.objects.filter(state__in=[State.SKIPPED, State.PLANNED], sent_at__isnull=False)


def forgotten() -> QuerySet[Any]:
    """Waiting though its time is over: nobody will send it, and nobody said why not."""
    return Delivery.objects.filter(state=State.PLANNED, useful_until__lt=Now() - SETTLED, send_at__lt=Now() - SETTLED)


def orphaned() -> QuerySet[Any]:
    """Deliveries that wait for a job that is not there, or is over."""
    waiting = Delivery.objects.filter(state__in=[State.PLANNED, State.SENDING], created_at__lt=Now() - SETTLED)
    return waiting.exclude(ledger.is_open(OuterRef("pk")))


CHECKS = (
    Check(
        "missing bookings",
        "every rule has planned or explained",
        "run `manage.py schedule_reminders`",
        missing_bookings,
    ),
    Check(
        "missing payments",
        "every rule has planned or explained",
        "run `manage.py schedule_reminders`",
        missing_payments,
    ),
    Check("sent twice", "a reminder goes out once", "see both with `manage.py why`", sent_twice),
    Check("accepted twice", "a message is one delivery's", "see both in the admin", accepted_twice),
    Check("after a close", "cancelled or paid means silence", "see `manage.py why`", after_close),
    Check("after a move", "nothing is sent of an earlier time", "see `manage.py why`", after_move),
    Check("after a refusal", "who said no hears no more", "see the customer's consents", after_refusal),
    Check("early", "nothing goes out before its time", "is a machine's clock wrong?", early),
    Check("late", "nothing goes out once it is of no use", "is a machine's clock wrong?", late),
    Check("after the start", "a reminder comes before what it reminds of", "is a machine's clock wrong?", after_start),
    Check("unexplained", "every decision has a reason", "look at them in the admin", unexplained),
    Check("contradicting", "withdrawn means not sent", "look at them in the admin", contradicting),
    Check("forgotten", "nothing is lost", "are workers and beat running?", forgotten),
    Check("orphaned", "every open delivery has its job", "is beat running? `settle` ends them", orphaned),
)
