"""When a customer would get several messages at once: the most relevant one goes, and no more a day than the rule says.

Used by the intent fence. The promise: after an outage there is one message per booking, the one nearest to the start;
a cap per day holds exactly, because it is counted by whoever has the customer's row.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Now

from notifications import reach
from notifications.models import Customer, Delivery

State, Reason = Delivery.State, Delivery.Reason
TOLD = [State.SENDING, State.SENT, State.IN_DOUBT]  # the customer has it, or may have


def superseded(delivery: Delivery) -> Exists:
    """Whether a later reminder of the same is due already, and goes or went out.

    Only a message that is late can be: two rules for the same time both count, however their tolerance spreads them.
    """
    name = "booking" if delivery.booking_id else "payment"
    spread = ExpressionWrapper(Value(delivery.send_at) + F("rule__tolerance"), output_field=DateTimeField())
    later = Delivery.objects.filter(
        **{name: getattr(delivery, f"{name}_id")},
        revision=delivery.revision,
        rule__anchor=delivery.rule.anchor,
        rule__active=True,
        send_at__lte=Now(),
        send_at__gt=spread,
    )
    if delivery.bulk_id:  # two messages to many say different things, however late
        later = later.filter(bulk=delivery.bulk_id)
    goes = Q(state=State.PLANNED, useful_until__gt=Now()) & reach.reachable()
    return Exists(later.filter(Q(state__in=TOLD) | Q(reason=Reason.IN_DIGEST) | goes))


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
