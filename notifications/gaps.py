"""What the rules call for and no row answers: anchors without a message of a rule, and without a reason for it.

Asked by `verify`. As many as there should be are counted in the same statement as those that are there.
"""

from itertools import product
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Now

from notifications.models import Booking, Delivery, Payment, ReminderRule, RuleOverride

Kind = ReminderRule.Anchor


def bookings() -> QuerySet[Any]:
    """Bookings still on for which an active rule has no delivery, sent or explained, at their revision."""
    anchors = Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=Now())
    told = {Kind.BOOKING_MADE: Q(made_at__isnull=False, revision=1), Kind.BOOKING_MOVED: Q(moved_at__isnull=False)}
    kinds = [(Kind.BOOKING_START, Q(pk__isnull=False)), *told.items()]
    # How often a series goes out before a start depends on the start: its first message counts.
    return _missing(anchors, "booking", kinds, in_series=False)


def payments() -> QuerySet[Any]:
    """The same for open payments, and each message of a series."""
    anchors, kinds = Payment.objects.filter(status=Payment.Status.OPEN), [(Kind.PAYMENT_DUE, Q(pk__isnull=False))]
    return _missing(anchors, "payment", kinds, in_series=True)


def _missing(
    anchors: QuerySet[Any], name: str, kinds: list[tuple[ReminderRule.Anchor, Q]], *, in_series: bool
) -> QuerySet[Any]:
    """An anchor is whole when it has as many messages as its rules make, less those of rules that are off for it."""
    place = "" if name == "booking" else "booking__"
    off = RuleOverride.objects.filter(
        Q(customer__isnull=True) | Q(customer=OuterRef(OuterRef("customer"))),
        Q(service="") | Q(service=OuterRef(OuterRef(f"{place}service"))),
        Q(location="") | Q(location=OuterRef(OuterRef(f"{place}location"))),
        rule=OuterRef("pk"),
        active=False,
    ).filter(Q(tenant="") | Q(tenant=OuterRef(OuterRef("tenant"))))
    active = list(ReminderRule.objects.filter(active=True, anchor__in=[kind for kind, _ in kinds]))
    some_off = RuleOverride.objects.filter(rule__in=active, active=False).exists()
    wanted: Any = Value(0)
    whose = sorted({rule.tenant for rule in active})
    for (kind, concerned), tenant in product(kinds, whose):
        if not (rules := [rule for rule in active if (rule.anchor, rule.tenant) == (kind, tenant)]):
            continue
        concerned &= Q(tenant=tenant) if tenant else Q()
        all_of_them: Any = Value(sum(1 + rule.repeat_times * int(in_series) for rule in rules))
        if some_off:
            off_here = ReminderRule.objects.filter(Exists(off), pk__in=[rule.pk for rule in rules]).order_by()
            fewer = Sum(1 + F("repeat_times") * int(in_series))
            all_of_them -= _or_none(off_here.values("anchor").annotate(n=fewer).values("n"))
        wanted = wanted + Case(When(concerned, then=all_of_them), default=Value(0))
    within = Q(occurrence__lte=F("rule__repeat_times") * int(in_series))
    has = Delivery.objects.filter(within, **{name: OuterRef("pk")}, revision=OuterRef("revision"), rule__in=active)
    each = Count(F("rule_id") * 1_000 + F("occurrence"), distinct=True)
    short: QuerySet[Any] = anchors.annotate(has=_or_none(has.order_by().values(name).annotate(n=each).values("n")))
    return short.filter(has__lt=wanted)


def _or_none(number: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(number), 0)
