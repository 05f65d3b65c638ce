"""What the provider said, written into the delivery; and what follows from it.

Used by `sending`, and by `doubts` for what becomes known later. Each outcome is one guarded UPDATE under the attempt's
token; a refusal, the next channel and a digest's parts go in one transaction. The promise: what a provider said is
not forgotten because the database hiccups, and an attempt that was given up for dead still tells what it knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from celery import signature
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from jobs import ledger
from jobs.durable import insist
from notifications import crowding, digests, fallbacks, guarantees, reach
from notifications.channels.base import Receipt
from notifications.fallbacks import JobFor
from notifications.guarantees import COUNT
from notifications.models import Booking, Delivery, Payment, Suppression

State, Reason = Delivery.State, Delivery.Reason
REPLAN = "notifications.replan_suppressed"  # by name: it plans, and planning knows this module
ELSEWHERE = (Reason.NO_ADDRESS, Reason.OPTED_OUT, Reason.SUPPRESSED, Reason.OTHER_CHANNEL)  # of this channel only


@dataclass(frozen=True)
class Intent:
    """One attempt of one delivery, under its job's token."""

    delivery: Delivery
    token: int
    job_for: JobFor

    @property
    def rows(self) -> QuerySet[Delivery]:
        """In doubt too: if this worker was slow and given up for dead, it still is the one who knows the answer."""
        live = [State.SENDING, State.IN_DOUBT]
        return Delivery.objects.filter(pk=self.delivery.pk, token=self.token, state__in=live)

    def accepted(self, receipt: Receipt) -> str:
        return _insist(partial(self._accepted, receipt), State.SENT)

    def put_back(self, why: str) -> str:
        """Certainly not taken, this time."""
        return _insist(partial(self._put_back, why), State.PLANNED)

    def refused(self, why: str, suppress: str = "") -> str:
        """Certainly not taken, and it never will be."""
        return _insist(partial(self._refused, why, suppress), State.REFUSED)

    def rerouted(self, why: str) -> bool:
        """Another channel takes over, if there is one, from a provider that certainly has not taken it."""
        end = _known(State.SKIPPED, reason=Reason.OTHER_CHANNEL, detail=why)
        return bool(insist(partial(_end_and_go_on, self.rows, self.delivery, self.job_for, end, only_if_next=True)))

    def unknown(self, why: str, *, again: bool) -> str:
        """Nobody knows whether it was taken: counted, whatever comes after it. Returns the delivery's state."""
        mine = self.rows.filter(state=State.SENDING)  # one who gave it up for dead has counted it already
        changes = guarantees.unknown(State.PLANNED if again else State.IN_DOUBT, why)
        insist(lambda: mine.update(**changes))
        return str(Delivery.objects.values_list("state", flat=True).get(pk=self.delivery.pk))

    def _accepted(self, receipt: Receipt) -> None:
        told = {"sent_at": Now(), "provider_id": receipt.provider_id} | _cost(receipt)
        taken = {"state": State.SENT, "doubts": _without_mine(), **told}
        if self.rows.exclude(outcome__in=Delivery.UNREACHED).update(**taken):
            return
        with transaction.atomic():  # a callback has overtaken the answer: it is known already not to arrive
            parts = _held_parts(self.delivery)
            if self.rows.update(**taken):
                _go_on(self.delivery, parts, self.job_for)

    def _put_back(self, why: str) -> None:
        with transaction.atomic():
            given_up = bool(self.rows.filter(state=State.IN_DOUBT).values_list("pk"))
            parts = _held_parts(self.delivery) if given_up else []
            if self.rows.update(doubts=_without_mine(), state=State.PLANNED, detail=why):
                if not self.delivery.doubts:
                    digests.give_back(self.delivery)
                if given_up:  # its job is over
                    ledger.retry([self.delivery.pk])
                    _give_back(parts)

    def _refused(self, why: str, suppress: str) -> None:
        with transaction.atomic():
            if suppress:
                suppress_address(self.delivery, suppress, why)
            _end_and_go_on(self.rows, self.delivery, self.job_for, _known(State.REFUSED, detail=why))


def skipped(delivery: Delivery, job_for: JobFor, reason: str, detail: str = "") -> str:
    """It does not go out, for a reason of ours. In doubt, if an earlier attempt may have been taken."""
    rows = Delivery.objects.filter(pk=delivery.pk, state=State.PLANNED)
    end = guarantees.unless_in_doubt(State.SKIPPED, reason=reason, **({"detail": detail} if detail else {}))
    if reason in ELSEWHERE:
        _end_and_go_on(rows, delivery, job_for, end)
    else:
        rows.update(**end)
    return str(Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk))


def gave_way(delivery: Delivery, job_for: JobFor) -> str:
    """It does not go out, because the customer has a more relevant message. Empty if nobody knows that yet.

    Who learns that the other did not arrive holds the anchor too: he comes before, or finds this one and gives it back.
    """
    with transaction.atomic():
        hold(delivery)
        other = crowding.told_instead(delivery)
        return skipped(delivery, job_for, Reason.SUPERSEDED, other.rule.name) if other else ""


def rerouted_unsent(delivery: Delivery, job_for: JobFor, why: str) -> bool:
    """Another channel takes over before anybody was asked. False: there is none."""
    rows = Delivery.objects.filter(pk=delivery.pk, state=State.PLANNED, doubts=0)
    end = {"state": State.SKIPPED, "reason": Reason.OTHER_CHANNEL, "detail": why}
    return _end_and_go_on(rows, delivery, job_for, end, only_if_next=True)


def suppress_address(delivery: Delivery, cause: str, detail: str) -> None:
    """What else is planned for it follows as soon as a job can: to lock its bookings here would be out of order."""
    address = reach.normalised(delivery.channel, delivery.customer.address(delivery.channel))
    named = {"channel": delivery.channel, "address": address}
    barred, new = Suppression.objects.get_or_create(**named, defaults={"cause": cause, "detail": detail})
    if new:
        signature(REPLAN, (barred.pk,)).delay()


def end_for_good(rows: QuerySet[Delivery], delivery: Delivery, job_for: JobFor, **columns: Any) -> bool:
    """Somebody knows now that it was not taken: as if its provider had refused it. False: `rows` was empty."""
    return _end_and_go_on(rows, delivery, job_for, {"state": State.REFUSED, **columns})


def hold(delivery: Delivery) -> None:
    """Before anything is written of a message that does not arrive: bookings and payments come before deliveries."""
    _held_parts(delivery)


def did_not_arrive(pk: UUID, outcome: str, job_for: JobFor) -> bool:
    """Its provider took it, and tells now that it failed or bounced: the next channel takes over.

    False, and nothing is written, if something else was told before: what was delivered is not said again.
    """
    with transaction.atomic():
        delivery = Delivery.objects.select_related("rule", "customer", "booking", "payment").get(pk=pk)
        parts = _held_parts(delivery)
        if not Delivery.objects.filter(pk=pk, outcome="").update(outcome=outcome, outcome_at=Now()):
            return False
        _go_on(delivery, parts, job_for)
        return True


Parts = list[tuple[Delivery, Booking | Payment]]


def _held_parts(delivery: Delivery) -> Parts:
    """What a message says that does not arrive, with its bookings or payments, locked in everybody's order."""
    along = delivery.contains.select_related("rule", "customer", "payment").filter(reason=Reason.IN_DIGEST)
    parts = sorted([delivery, *along], key=lambda part: part.anchor.pk)
    return [(part, anchor) for part in parts if (anchor := fallbacks.hold_anchor(part))]


def _go_on(delivery: Delivery, parts: Parts, job_for: JobFor) -> None:
    """Each by its next channel. Not while another attempt may have been taken, nor beside what goes or went already."""
    if Delivery.objects.filter(pk=delivery.pk, state=State.SENT, doubts=0).exists():
        for part, anchor in parts:
            if fallbacks.is_wanted(part, anchor) and not fallbacks.reaches_otherwise(part, anchor):
                fallbacks.plan_next(part, anchor, job_for)
        _give_back(parts)


def _give_back(parts: Parts) -> None:
    for part, _anchor in parts:
        crowding.give_back(part)


def _end_and_go_on(
    rows: QuerySet[Delivery], delivery: Delivery, job_for: JobFor, end: dict[str, Any], *, only_if_next: bool = False
) -> bool:
    """End the delivery and plan the next channel, in one transaction and in everybody's order of locks."""
    if only_if_next and not fallbacks.others(delivery):
        return False
    with transaction.atomic():
        parts = _held_parts(delivery)
        anchor = next((held for part, held in parts if part is delivery and fallbacks.is_wanted(part, held)), None)
        if only_if_next and anchor is None:
            return False
        if not rows.update(**end):
            return False
        if Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk) == State.IN_DOUBT:
            return not only_if_next  # it may have been taken: no other channel
        following = anchor and fallbacks.plan_next(delivery, anchor, job_for)
        if only_if_next and following is None:
            transaction.set_rollback(True)
            return False
        digests.give_back(delivery)
        _give_back(parts)
        return True


def _known(state: Delivery.State, **others: Any) -> dict[str, Any]:
    """The columns for what an attempt tells of itself: its own doubt, if it was given up for dead, is resolved."""
    left = When(
        Q(state=State.SENDING, doubts__gt=0) | Q(state=State.IN_DOUBT, doubts__gt=1), then=Value(State.IN_DOUBT)
    )
    return {"state": Case(left, default=Value(state)), "doubts": _without_mine(), **others}


def _without_mine() -> Case:
    mine = When(state=State.IN_DOUBT, doubts__gt=0, then=F("doubts") - 1)
    return Case(mine, default=F("doubts"), output_field=COUNT)


def _cost(receipt: Receipt) -> dict[str, Any]:
    return {"segments": receipt.segments, "cost": receipt.cost, "cost_currency": receipt.currency}


def _insist(write: Callable[[], object], state: Delivery.State) -> str:
    insist(write)
    return state.value
