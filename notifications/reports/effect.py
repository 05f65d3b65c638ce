"""Whether reminders help: how many did not come, and how many confirmed, with the reminder of a rule and without it.

Used by `figures`. Of the bookings that were closed as completed or as no-show within the period; a reminder counts if
it was sent for the time that the booking had in the end, before that time. It compares and does not prove: who books
at the last moment gets fewer reminders and may be another kind of customer. The report says so.
"""

from collections import defaultdict
from datetime import timedelta

from django.db.models import Count, F, Q
from pydantic import BaseModel

from notifications.models import Booking, Delivery, ReminderRule
from notifications.reports.periods import Period

MOST_RULES = 20  # told; of more, those that reminded of the most bookings
Status = Booking.Status


class Cohort(BaseModel):
    bookings: int = 0
    no_show: int = 0
    confirmed: int = 0

    def __sub__(self, other: "Cohort") -> "Cohort":
        return Cohort(
            bookings=self.bookings - other.bookings,
            no_show=self.no_show - other.no_show,
            confirmed=self.confirmed - other.confirmed,
        )

    def add(self, status: str, bookings: int, confirmed: int) -> None:
        self.bookings += bookings
        self.confirmed += confirmed
        self.no_show += bookings if status == Status.NO_SHOW else 0


class RuleEffect(BaseModel):
    rule: str
    reminded: Cohort
    others: Cohort  # of those whom the rule is for


class Effect(BaseModel):
    all: Cohort
    rules: list[RuleEffect]
    left_out: int = 0  # rules that are not told


def effect(period: Period, tenant: str) -> Effect:
    """Three statements."""
    over: dict[str, object] = {
        "closed_at__gte": period.begins,
        "closed_at__lt": period.ends,
        "status__in": [Status.COMPLETED, Status.NO_SHOW],
        **({"tenant": tenant} if tenant else {}),
    }
    everyone, by_tenant = _everyone(over)
    reminded = _reminded(over)
    rules = ReminderRule.objects.filter(anchor=ReminderRule.Anchor.BOOKING_START)
    waiting = Q(active=True, offset__lte=timedelta(), tenant__in=["", tenant])  # might have reminded
    named = rules.filter(Q(pk__in=list(reminded)) | waiting).order_by("offset", "pk")
    found = []
    for pk, name, whose in named.values_list("pk", "name", "tenant"):
        had, theirs = reminded.get(pk, Cohort()), by_tenant[whose] if whose else everyone
        found.append(RuleEffect(rule=name, reminded=had, others=theirs - had))
    told = sorted(found, key=lambda one: -one.reminded.bookings)[:MOST_RULES]
    kept = {id(one) for one in told}
    rows = [one for one in found if id(one) in kept]  # in the order of their moments
    return Effect(all=everyone, rules=rows, left_out=len(found) - len(told))


def _everyone(over: dict[str, object]) -> tuple[Cohort, dict[str, Cohort]]:
    """All together, and by tenant."""
    everyone = Cohort()
    by_tenant: dict[str, Cohort] = defaultdict(Cohort)
    counts = {"n": Count("pk"), "confirmed": Count("confirmed_at")}
    rows = Booking.objects.filter(closed_at__isnull=False, **over).order_by()
    for whose, status, number, confirmed in rows.values_list("tenant", "status").annotate(**counts):
        everyone.add(status, number, confirmed)
        by_tenant[whose].add(status, number, confirmed)
    return everyone, by_tenant


def _reminded(over: dict[str, object]) -> dict[int, Cohort]:
    """By rule: the bookings that had its reminder, each once, by whatever channels."""
    found: dict[int, Cohort] = defaultdict(Cohort)
    sent = Delivery.objects.filter(
        state=Delivery.State.SENT,
        rule__anchor=ReminderRule.Anchor.BOOKING_START,
        revision=F("booking__revision"),
        sent_at__lte=F("booking__starts_at"),
        **{f"booking__{name}": value for name, value in over.items()},
    ).order_by()
    bookings = Count("booking", distinct=True)
    confirmed = Count("booking", distinct=True, filter=Q(booking__confirmed_at__isnull=False))
    counts = sent.values_list("rule", "booking__status").annotate(n=bookings, confirmed=confirmed)
    for rule, status, number, yes in counts:
        found[rule].add(status, number, yes)
    return found
