"""Digests: the reminders of payments that a customer gets on one day by one channel, as one message.

Used by `sending` before and by the fence within the intent. The one that is due first leads; its intent takes the
others along in the same transaction, and they are given back when the provider certainly did not take it. The
promise: a payment is mentioned once that day, and one that was paid before the intent is not mentioned.
"""

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from jobs import ledger
from notifications import crowding
from notifications.changes import in_order
from notifications.models import Delivery, Payment, ReminderRule

State, Reason = Delivery.State, Delivery.Reason


class Changed(Exception):
    """What was to go along was paid, moved or sent meanwhile: the message has to be written anew."""


def gathered(lead: Delivery, now: datetime) -> list[Delivery]:
    """What is to go along with `lead`, so that the message can be written. Nothing is taken yet."""
    if not lead.rule.digest or lead.payment_id is None:
        return []
    if lead.doubts:  # the same message once more: the receiver may know it by its key
        rows = lead.contains.filter(_open_payment())
    else:
        _, ends = crowding.local_day(now, lead.customer.time_zone)
        others = Delivery.objects.filter(customer=lead.customer_id, channel=lead.channel, send_at__lt=ends)
        rows = _may_go_along(others.exclude(pk=lead.pk).exclude(payment=lead.payment_id))
    found: dict[int, Delivery] = {}
    chosen = rows.select_related("rule", "payment", "customer")
    for one in sorted(chosen, key=lambda one: (one.meant_at, one.pk)):
        found[one.payment_id or 0] = one  # of several about one payment the last: it says most
    return sorted(found.values(), key=lambda one: (one.send_at, one.pk))


def take_along(lead: Delivery) -> None:
    """Inside the intent's transaction, the lead's row written. Raises Changed."""
    wanted = [one.pk for one in lead.companions if one.state == State.PLANNED]
    if not wanted:
        return
    rows = _may_go_along(Delivery.objects.filter(pk__in=wanted))
    if rows.update(state=State.SKIPPED, reason=Reason.IN_DIGEST, digest=lead) != len(wanted):
        raise Changed


def lock(lead: Delivery) -> None:
    """All rows of the digest, in the order in which everybody locks deliveries."""
    in_order(Delivery.objects.filter(pk__in=[lead.pk, *[one.pk for one in lead.companions]]))


def give_back(lead: Delivery) -> int:
    """The provider certainly did not take the message: each of its parts is on its own again. Returns how many.

    Their jobs never ended, see `sending`: they wait for the digest and look again.
    """
    return lead.contains.filter(reason=Reason.IN_DIGEST).update(state=State.PLANNED, reason="", digest=None)


def _may_go_along(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    rules = ReminderRule.objects.filter(pk=OuterRef("rule_id"), digest=True, active=True)
    return rows.filter(
        Q(state=State.PLANNED, doubts=0, useful_until__gt=Now())
        & Q(Exists(rules))
        & _open_payment()
        & ~Q(ledger.is_in(ledger.S.CANCELLED, OuterRef("pk")))
    )


def _open_payment() -> Q:
    rows = Payment.objects.filter(pk=OuterRef("payment_id"), revision=OuterRef("revision"), status=Payment.Status.OPEN)
    return Q(Exists(rows))
