"""When a customer would get several messages at once: the most relevant one goes, and no more a day than the rule says.

Used by the intent fence. The promise: after an outage, and when quiet hours move several to one moment, there is one
message per booking, the one nearest to the start, and the others give way only when the customer has it; a cap per day
holds exactly, because it is counted by whoever has the customer's row.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now

from jobs import ledger
from notifications import reach
from notifications.models import Customer, Delivery
from notifications.overrides import rule_of
from notifications.planning import unwanted

State, Reason = Delivery.State, Delivery.Reason
TOLD = [State.SENDING, State.SENT, State.IN_DOUBT]  # the customer has it, or may have
LOOK_AGAIN = timedelta(seconds=30)  # at a digest, or a more relevant message, that is being sent


def superseding(delivery: Delivery) -> QuerySet[Delivery]:
    """The more relevant messages about the same that are due already, and go or went out.

    Of those of the same moment it is the one that the rules meant for later: quiet hours bring several together. Two
    rules for the same time both count, however their tolerance spreads them. `outranks` is the same for the forecast.
    """
    name = "booking" if delivery.booking_id else "payment"
    others = Delivery.objects.alias(meant=Coalesce("moved_from", "send_at")).filter(
        **{name: getattr(delivery, f"{name}_id")},
        revision=delivery.revision,
        rule__anchor=delivery.rule.anchor,
        send_at__lte=Now(),
        send_at__gte=_moment(Value(delivery.send_at - delivery.rule.tolerance) - F("rule__tolerance")),
        meant__gt=_moment(Value(delivery.meant_at) + F("rule__tolerance")),
    )
    if delivery.bulk_id:  # two messages to many say different things, however late
        others = others.filter(bulk=delivery.bulk_id)
    goes = Q(state=State.PLANNED, useful_until__gt=Now()) & reach.reachable()
    told = Q(state__in=TOLD) & ~Q(outcome__in=Delivery.UNREACHED)
    along = Q(reason=Reason.IN_DIGEST) & ~Q(digest__outcome__in=Delivery.UNREACHED)
    return others.filter(told | along | goes)


def outranks(other: Delivery, late: Delivery) -> bool:
    """Whether `other`, about the same anchor, takes the place of `late` once it is due. As `superseding` asks it.

    A strict order by `meant_at`: no two give way to each other. One that quiet hours have brought forward from the
    next morning does not silence what is due later that evening: it is no longer the same moment.
    """
    spread = other.rule.tolerance
    return (
        other.revision == late.revision
        and other.rule.anchor == late.rule.anchor
        and other.send_at >= late.send_at - late.rule.tolerance - spread
        and other.meant_at > late.meant_at + spread
        and (not late.bulk_id or other.bulk_id == late.bulk_id)
    )


def told_instead(delivery: Delivery) -> Delivery | None:
    """The more relevant message that the customer has, or may have. None: it may still fail, and then this one goes."""
    nearest_first = Coalesce("moved_from", "send_at").desc()
    found = superseding(delivery).select_related("rule", "digest").order_by(nearest_first, "pk")
    return next((other for other in found if other.fate in (State.SENT, State.IN_DOUBT)), None)


def give_back(gone: Delivery) -> None:
    """What may have given way to one that, as is known only now, the customer does not have. The fence decides anew,
    and waits where that one goes by another channel. The caller holds the anchor.
    """
    name = "booking" if gone.booking_id else "payment"
    same = {name: getattr(gone, f"{name}_id"), "revision": gone.revision, "rule__anchor": gone.rule.anchor}
    rows = Delivery.objects.filter(state=State.SKIPPED, reason=Reason.SUPERSEDED, useful_until__gt=Now())
    others = rows.filter(**same).select_related("rule", "customer", "booking", "payment").order_by("pk")
    found = [one.pk for one in others if not unwanted(rule_of(one), one.anchor)]
    if found and rows.filter(pk__in=found).update(state=State.PLANNED, reason="", detail=""):
        ledger.retry(found)


def _moment(expression: Combinable) -> Combinable:
    return ExpressionWrapper(expression, output_field=DateTimeField())


def counts(delivery: Delivery) -> bool:
    """Whether this delivery's intent depends on what else its customer gets."""
    return delivery.rule.digest or delivery.rule.per_day is not None


def locked(customer_id: int) -> None:
    """Nobody else counts or gathers for this customer until the transaction ends."""
    # no_key: bookings and payments of the customer may be made meanwhile
    list(Customer.objects.select_for_update(no_key=True).filter(pk=customer_id).values_list("pk"))


def day_is_full(delivery: Delivery) -> bool:
    """Whether the customer had as many messages about such anchors, on this day of theirs, as the rule allows."""
    if delivery.rule.per_day is None:
        return False
    begins, ends = local_day(database_now(), delivery.customer.time_zone)
    had = Delivery.objects.filter(customer=delivery.customer_id, state__in=TOLD, rule__anchor=delivery.rule.anchor)
    had = had.filter(intent_at__gte=begins, intent_at__lt=ends).exclude(pk=delivery.pk)
    had = had.exclude(outcome__in=Delivery.UNREACHED)
    return had.count() >= delivery.rule.per_day


def local_day(moment: datetime, zone_name: str) -> tuple[datetime, datetime]:
    """When the day of `moment` begins and ends by the clocks of the zone."""
    zone = ZoneInfo(zone_name)
    day = moment.astimezone(zone).date()
    begins, ends = (datetime.combine(date, time(), zone) for date in (day, day + timedelta(days=1)))
    return begins, ends


def database_now() -> datetime:
    """The database's clock: this machine's may be wrong."""
    now: datetime = Delivery.objects.annotate(now=Now()).values_list("now", flat=True)[:1].get()
    return now
