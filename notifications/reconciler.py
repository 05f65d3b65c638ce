"""Keeps deliveries straight: with the rules, and with what became of their jobs.

`reconcile` is the safety net under `plan` for rows that were changed past the application (an SQL shell, a changed
rule); beat runs it every hour, `manage.py schedule_reminders` by hand. `settle` ends deliveries whose job ended without
telling. `withdraw` and `resend` are an operator's decisions about single deliveries.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from jobs import ledger, orders
from jobs.durable import Durable
from notifications import direct_ends, guarantees, zones
from notifications.changes import CHUNK, Plan, Reason, State, in_order
from notifications.models import Booking, Customer, Delivery, Payment, ReminderRule, RuleOverride
from notifications.planning import BOOKING_KINDS
from notifications.reminders import job_for, plan
from notifications.reports import mail_ends


def reconcile(
    *,
    now: datetime | None = None,
    dry_run: bool = False,
    only: ReminderRule | None = None,
    tenant: str | None = None,
) -> Iterator[Plan]:
    """Plan every upcoming booking and open payment, a chunk per transaction. Yields what each chunk changed.

    With `dry_run` each chunk is rolled back: it yields what would change. `only` leaves the other rules alone, `tenant`
    the bookings and payments of other tenants.
    """
    now = now or timezone.now()
    for rows in upcoming(now) if only is None else concerned(only, now):
        yield from _in_chunks(rows if tenant is None else rows.filter(tenant=tenant), now, dry_run, only)


def concerned(rule: ReminderRule, now: datetime) -> list[QuerySet[Any]]:
    """The upcoming bookings, or open payments, that a changed rule may speak of, or has spoken of so far."""
    bookings, payments = (rows.filter(tenant=rule.tenant) if rule.tenant else rows for rows in upcoming(now, rule))
    planned = Delivery.objects.filter(rule=rule.pk, state=State.PLANNED)
    of_bookings = rule.anchor in BOOKING_KINDS
    found = [bookings] if of_bookings or planned.filter(booking__isnull=False).exists() else []
    return found + ([payments] if not of_bookings or planned.filter(payment__isnull=False).exists() else [])


def upcoming(now: datetime, *more: ReminderRule) -> list[QuerySet[Any]]:
    """Whatever may still be reminded of: bookings, and payments. `more` are rules that are not stored."""
    # A rule may also speak after the start: its bookings are not over yet.
    rules = {rule.pk: rule for rule in (*ReminderRule.objects.all(), *more)}
    changed = RuleOverride.objects.filter(offset__isnull=False).values_list("rule", "offset")
    offsets = [rule.offset + _repeating(rule) for rule in [*rules.values(), *more]]
    offsets += [offset + _repeating(rules[pk]) for pk, offset in changed if offset and pk in rules]
    since = now - max(timedelta(), *offsets)
    return [
        Booking.objects.filter(status=Booking.Status.BOOKED, starts_at__gt=since),
        Payment.objects.filter(status=Payment.Status.OPEN),
    ]


def _repeating(rule: ReminderRule) -> timedelta:
    return (rule.repeat_every or timedelta()) * rule.repeat_times


def _in_chunks(rows: QuerySet[Any], now: datetime, dry_run: bool, only: ReminderRule | None) -> Iterator[Plan]:
    last = 0
    while True:
        with transaction.atomic():
            some = rows.filter(pk__gt=last).select_related("customer").order_by("pk")
            # no_key: rows that refer to these may be inserted meanwhile
            anchors = list(some.select_for_update(of=("self",), no_key=True)[:CHUNK])
            if not anchors:
                return
            done = plan(anchors, now=now, only=only)
            transaction.set_rollback(dry_run)
        last = anchors[-1].pk
        yield done


def replan(customer: Customer) -> None:
    """Plan what is still to come for one customer, whose address may have changed."""
    with transaction.atomic():
        # Also of what is cancelled or has begun something may wait to be said.
        said = Exists(Delivery.objects.filter(booking=OuterRef("pk"), state=State.PLANNED))
        still_on = Q(status=Booking.Status.BOOKED, starts_at__gt=timezone.now())
        todo: tuple[QuerySet[Any], ...] = (
            customer.bookings.filter(still_on | Q(said)),
            customer.payments.filter(status=Payment.Status.OPEN),
        )
        for rows in todo:
            plan(list(rows.select_related("customer").select_for_update(of=("self",), no_key=True).order_by("pk")))


def settle() -> int:
    """End the deliveries whose job ended without telling: cancelled by an operator, or lost too often.

    A job that succeeded without sending left a delivery alone that was planned again at that moment: it runs again.
    """
    ended = 0
    open_rows = Delivery.objects.filter(state__in=[State.PLANNED, State.SENDING])
    for job_state, state, reason in (
        (ledger.S.CANCELLED, State.SKIPPED, Reason.JOB_CANCELLED),
        (ledger.S.FAILED, State.REFUSED, ""),
        (ledger.S.SUCCEEDED, State.PLANNED, ""),
    ):
        with transaction.atomic():
            # A row that somebody has locked is being changed: the next minute will do.
            some = open_rows.filter(ledger.is_in(job_state, OuterRef("pk"))).order_by("pk")
            rows = Delivery.objects.filter(
                pk__in=list(some.select_for_update(skip_locked=True).values_list("pk", flat=True))
            )
            planned = rows.filter(state=State.PLANNED)
            if state == State.PLANNED:
                ended += len(ledger.retry(planned.values_list("pk", flat=True)))
            else:
                end = guarantees.unless_in_doubt(state, reason=reason, detail="see its job")
                ended += planned.update(**end)
            lost = {"state": State.IN_DOUBT, "doubts": F("doubts") + 1, "detail": "its job ended while sending"}
            ended += rows.filter(state=State.SENDING).update(**lost)
    return ended


def withdraw(ids: Iterable[UUID], who: str) -> dict[UUID, str]:
    """Take planned deliveries back. The receipt of each that was: withdrawn, or in doubt.

    In doubt is what an earlier attempt may have sent. What does not wait is not in it; its job is asked to stop.
    """
    wanted = list(ids)
    with transaction.atomic():
        rows = in_order(Delivery.objects.filter(pk__in=wanted, state=State.PLANNED))
        receipts = {pk: "in doubt" if doubts else "withdrawn" for pk, doubts in rows.values_list("pk", "doubts")}
        rows.update(**guarantees.unless_in_doubt(State.SKIPPED, reason=Reason.JOB_CANCELLED, detail=f"by {who}"))
        orders.cancel(wanted, by=who, reason=f"withdrawn by {who}")
    return receipts


def resend(ids: Iterable[UUID], who: str) -> int:
    """Try refused or withdrawn deliveries again, now. The intent fence still decides. Returns how many."""
    wanted = list(ids)
    again = [State.REFUSED, State.SKIPPED]
    with transaction.atomic():
        rows = Delivery.objects.filter(pk__in=wanted, state__in=again, send_at__lte=timezone.now())
        chosen = list(rows.select_for_update().values_list("pk", flat=True))
        rows_again = Delivery.objects.filter(pk__in=chosen)
        rows_again.update(state=State.PLANNED, reason="", detail=f"sent again by {who}")
        before = orders.states(chosen)
        ledger.enqueue_many([job_for(delivery) for delivery in rows_again])  # what was skipped at once never had one
        ledger.retry(chosen)
        asked = orders.Asked(who, f"sent again by {who}")
        asked.write("resend", {pk: before.get(pk, "") for pk in chosen}, dict.fromkeys(chosen, orders.DONE))
    return len(chosen)


@shared_task(base=Durable, name="notifications.reconcile", internal=True)
def reconcile_all() -> int:
    """Returns the number of deliveries that had to be changed."""
    zones.refresh()
    return sum(done.changes for done in reconcile())


@shared_task(base=Durable, name="notifications.apply_rule", internal=True)
def apply_rule(rule_id: int) -> int:
    """Plan anew what a changed rule is about. Returns the number of deliveries that were changed."""
    return sum(done.changes for done in reconcile(only=ReminderRule.objects.get(pk=rule_id)))


@shared_task(name="notifications.settle", ignore_result=True)
def settle_all() -> None:
    settle()
    direct_ends.settle()
    mail_ends.settle()
