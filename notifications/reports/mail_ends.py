"""Mails of reports that end otherwise than by being sent: left open by their job, or in doubt until a person decides.

Called by beat (`reconciler.settle_all`), the admin and `manage.py report_mail`. Each is a guarded UPDATE of the mail's
own row. The promise: none stays planned or sending for ever, what may have been sent is in doubt, and of several who
decide the same doubt one does.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from jobs import ledger, orders
from notifications.models import ReportMail
from notifications.reports.mails import send_report

State = ReportMail.State
OUTCOMES = ("sent", "resend")


def settle() -> int:
    """A job that was cancelled, failed or deleted sends nothing any more."""
    job = ledger.Job.objects.filter(pk=OuterRef("pk"))
    over = Q(ledger.is_in(ledger.S.CANCELLED, OuterRef("pk"))) | Q(ledger.is_in(ledger.S.FAILED, OuterRef("pk")))
    ended = 0
    with transaction.atomic():
        open_mails = ReportMail.objects.filter(state__in=[State.PLANNED, State.SENDING])
        some = open_mails.filter(over | ~Exists(job)).order_by("pk")
        ids = list(some.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True))
        rows = ReportMail.objects.filter(pk__in=ids)
        ended += rows.filter(state=State.PLANNED).update(state=State.SKIPPED, detail="its job ended: see there")
        ended += rows.filter(state=State.SENDING).update(state=State.IN_DOUBT, detail="its job ended while sending")
    return ended


def resolve(ids: Iterable[UUID], outcome: str, who: str, reason: str) -> int:
    """Decide what became of mails in doubt. Returns how many it applied to; others are left as they are.

    sent: it arrived. resend: send it again though it may have arrived; `send_report` asks anew whether its user may
    have it. Raises ValueError for any other outcome, and without a name and a reason.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"There is no outcome {outcome!r}. There are {', '.join(OUTCOMES)}.")
    if not who.strip() or not reason.strip():
        raise ValueError("Say who decides, and why: a doubt is resolved for a reason.")
    verb, told = {"sent": _sent, "resend": _resend}[outcome], f"{outcome}, says {who}: {reason}"
    done = 0
    for pk in ids:
        with transaction.atomic():  # with a line in its job's story, if it still has one
            before = orders.states([pk])
            if verb(pk, told):
                orders.Asked(who, reason).write(f"doubt: {outcome}", before, dict.fromkeys(before, orders.DONE))
                done += 1
    return done


def _sent(pk: UUID, told: str) -> bool:
    held = ReportMail.objects.filter(pk=pk, state=State.IN_DOUBT)
    return bool(held.update(state=State.SENT, sent_at=Coalesce("intent_at", Now()), detail=told))


def _resend(pk: UUID, told: str) -> bool:
    with transaction.atomic():
        if not ReportMail.objects.filter(pk=pk, state=State.IN_DOUBT).update(state=State.PLANNED, detail=told):
            return False
        if not ledger.retry([pk]) and not _anew(pk):  # its job still runs: it knows better
            transaction.set_rollback(True)
            return False
        return True


def _anew(pk: UUID) -> bool:
    """With a job of the same id, if its own has been deleted since."""
    if ledger.Job.objects.filter(pk=pk).exists():
        return False
    tenant = ReportMail.objects.values_list("report__tenant", flat=True).get(pk=pk)
    send_report.apply_async((pk,), task_id=pk, tenant=tenant)
    return True
