"""Doubts: messages of which nobody knew whether they were taken, decided by somebody who knows.

Called by the admin (a person, with a reason), by the providers' callbacks, and by beat where a channel can ask its
provider by key. Each decision is a guarded UPDATE: the same callback twice, or a person and a callback at once, count
once. The promise: without such a decision a doubt stays, whatever later attempts bring.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now

from jobs import ledger, orders
from notifications import digests, guarantees, outcomes, reminders
from notifications.channels import CHANNELS
from notifications.models import Delivery
from notifications.models.lookups import Fixed

State = Delivery.State
OUTCOMES = ("sent", "not_sent", "resend")
AT_ONCE = 100  # deliveries that one look-up asks for

logger = logging.getLogger(__name__)


def resolve(ids: Iterable[UUID], outcome: str, who: str, reason: str, *, provider_id: str = "") -> int:
    """Decide what became of deliveries in doubt. Returns how many it applied to; others are left as they are.

    sent: it was taken. not_sent: it certainly was not, as if it had been refused now: the next channel takes over.
    resend: send it again though it may have been taken; the doubt stays counted, and the fence still decides.
    Raises ValueError for any other outcome, and without a name and a reason.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"There is no outcome {outcome!r}. There are {', '.join(OUTCOMES)}.")
    if not who.strip() or not reason.strip():
        raise ValueError("Say who decides, and why: a doubt is resolved for a reason.")
    sent = partial(_sent, provider_id=provider_id)
    verbs: dict[str, Callable[[UUID, dict[str, str]], bool]] = {"sent": sent, "not_sent": _not_sent, "resend": _resend}
    told = {"detail": f"{outcome}, says {who}: {reason}"}
    return sum(_resolved(pk, outcome, partial(verbs[outcome], pk, told), orders.Asked(who, reason)) for pk in ids)


def _resolved(pk: UUID, outcome: str, resolve_it: Callable[[], bool], asked: orders.Asked) -> bool:
    """With a line in its job's story, if it still has one."""
    with transaction.atomic():
        before = orders.states([pk])
        done = resolve_it()
        if done:
            asked.write(f"doubt: {outcome}", before, dict.fromkeys(before, orders.DONE))
        return done


def in_doubt() -> QuerySet[Delivery]:
    """Every delivery with an attempt of which nobody knows what became: held, to be tried again, or repeated."""
    return Delivery.objects.filter(Q(doubts__gt=Fixed(0)) | Q(state=Fixed(State.IN_DOUBT.value)))


def _sent(pk: UUID, told: dict[str, str], *, provider_id: str) -> bool:
    news, known = guarantees.taken(provider_id)
    with transaction.atomic():
        open_rows = in_doubt().filter(pk=pk, state__in=[State.IN_DOUBT, State.PLANNED])
        if open_rows.update(state=State.SENT, reason="", sent_at=Coalesce("intent_at", Now()), **known, **told):
            ledger.cancel([pk], "it was sent, as is known now")  # another attempt, where one was to come
            return True
        return bool(in_doubt().filter(news, pk=pk, state=State.SENT).update(**known, **told))


def _not_sent(pk: UUID, told: dict[str, str]) -> bool:
    delivery = Delivery.objects.select_related("rule", "customer", "booking", "payment").filter(pk=pk).first()
    if delivery is None:
        return False
    held = Delivery.objects.filter(pk=pk, state=State.IN_DOUBT)
    if outcomes.end_for_good(held, delivery, reminders.job_for, doubts=0, **told):
        return True
    others = in_doubt().filter(pk=pk, state__in=[State.PLANNED, State.SENT])
    return bool(others.update(doubts=0, **told))


def _resend(pk: UUID, told: dict[str, str]) -> bool:
    with transaction.atomic():
        if not Delivery.objects.filter(pk=pk, state=State.IN_DOUBT).update(state=State.PLANNED, reason="", **told):
            return False
        if not ledger.retry([pk]):  # its job still runs: it knows better
            transaction.set_rollback(True)
            return False
        return True


# --- Asking the provider -------------------------------------------------------------------------------


@shared_task(name="notifications.look_up", ignore_result=True)
def look_up() -> int:
    """Ask the providers that know messages by their key. Returns how many doubts that resolved."""
    channels = [name for name, channel in CHANNELS.items() if channel.find]
    over = Now() - (guarantees.QUARANTINE + guarantees.REQUEST + timedelta(minutes=1))  # and the provider has settled
    rows = Delivery.objects.filter(state=State.IN_DOUBT, channel__in=channels, intent_at__lt=over)
    return sum(_look_up(delivery) for delivery in rows.order_by("pk")[:AT_ONCE])


def _look_up(delivery: Delivery) -> bool:
    find = CHANNELS[delivery.channel].find
    if find is None:
        return False
    try:
        receipt = find(str(delivery.pk))
    except Exception as exc:  # whatever it is, it is no answer
        logger.warning("delivery=%s look-up failed: %s", delivery.pk, type(exc).__name__)
        return False
    if receipt is not None:
        known = {"provider_id": receipt.provider_id, "reason": "it knows the message"}
        return bool(resolve([delivery.pk], "sent", "the provider", **known))
    return _again(delivery)


def _again(delivery: Delivery) -> bool:
    """The provider never had it: it is sent, as after any failure, if it still is of use. The fence decides."""
    with transaction.atomic():
        held = Delivery.objects.filter(pk=delivery.pk, state=State.IN_DOUBT, token=delivery.token)
        if not held.update(state=State.PLANNED, reason="", doubts=0, detail="the provider never had it"):
            return False
        digests.give_back(delivery)
        if not ledger.retry([delivery.pk]):
            transaction.set_rollback(True)
            return False
        return True
