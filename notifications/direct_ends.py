"""Direct messages that end otherwise than by being sent: withdrawn, left open by their job, or decided by who knows.

Called by the admin, the API, the providers' callbacks, and beat (`reconciler.settle_all`). Each is a guarded UPDATE of
the message's own row, so that it and the intent come one after the other.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from jobs import ledger
from notifications import guarantees
from notifications.models import Delivery, DirectMessage

State, Reason = Delivery.State, Delivery.Reason
OUTCOMES = ("sent", "not_sent", "resend")


def withdraw(ids: Iterable[UUID], who: str) -> int:
    """Returns how many will certainly not go out."""
    wanted = list(ids)
    with transaction.atomic():
        rows = DirectMessage.objects.filter(pk__in=wanted, state=State.PLANNED).order_by("pk")
        planned = list(rows.select_for_update().values_list("pk", "doubts"))
        end = guarantees.unless_in_doubt(State.SKIPPED, reason=Reason.JOB_CANCELLED, detail=f"by {who}")
        DirectMessage.objects.filter(pk__in=[pk for pk, _ in planned]).update(**end)
        ledger.cancel([pk for pk, _ in planned], f"withdrawn by {who}")
    return sum(not doubts for _pk, doubts in planned)


def resolve(ids: Iterable[UUID], outcome: str, who: str, reason: str, *, provider_id: str = "") -> int:
    """Say what became of messages in doubt: sent, not_sent, or resend. Returns of how many it was to be said."""
    if outcome not in OUTCOMES:
        raise ValueError(f"There is no outcome {outcome!r}. There are {', '.join(OUTCOMES)}.")
    if not who.strip() or not reason.strip():
        raise ValueError("Say who decides, and why: a doubt is resolved for a reason.")
    told = {"detail": f"{outcome}, says {who}: {reason}"}
    return sum(_resolve(pk, outcome, told, provider_id) for pk in ids)


def _resolve(pk: UUID, outcome: str, told: dict[str, str], provider_id: str) -> bool:
    held = DirectMessage.objects.filter(pk=pk, state=State.IN_DOUBT)
    with transaction.atomic():
        if outcome == "sent":
            return _sent(pk, told, provider_id)
        if outcome == "not_sent":
            return bool(held.update(state=State.REFUSED, doubts=0, **told))
        if not held.update(state=State.PLANNED, reason="", **told):
            return False
        if not ledger.retry([pk]):  # its job still runs: it knows better
            transaction.set_rollback(True)
            return False
        return True


def _sent(pk: UUID, told: dict[str, str], provider_id: str) -> bool:
    """Also where another attempt was to come, or has been made since: as for deliveries (`doubts`)."""
    news, known = guarantees.taken(provider_id)
    doubtful = DirectMessage.objects.filter(Q(doubts__gt=0) | Q(state=State.IN_DOUBT), pk=pk)
    waiting = doubtful.filter(state__in=[State.IN_DOUBT, State.PLANNED])
    if waiting.update(state=State.SENT, reason="", sent_at=Coalesce("intent_at", Now()), **known, **told):
        ledger.cancel([pk], "it was sent, as is known now")
        return True
    return bool(doubtful.filter(news, state=State.SENT).update(**known, **told))


def settle() -> int:
    """End those whose job ended without telling: cancelled by an operator, lost too often, or deleted."""
    ended = 0
    has_job = Exists(ledger.Job.objects.filter(pk=OuterRef("pk")))
    # One that never ran here failed elsewhere, or for want of code: a person may retry it, and it goes out.
    failed = Exists(ledger.Job.objects.filter(pk=OuterRef("pk"), state=ledger.S.FAILED, token__gt=0))
    for condition, state, reason in (
        (ledger.is_in(ledger.S.CANCELLED, OuterRef("pk")), State.SKIPPED, Reason.JOB_CANCELLED),
        (failed, State.REFUSED, ""),
        (ledger.is_in(ledger.S.EXPIRED, OuterRef("pk")), State.SKIPPED, Reason.TOO_LATE),
        (~has_job, State.SKIPPED, Reason.JOB_CANCELLED),
    ):
        with transaction.atomic():
            some = DirectMessage.objects.filter(condition)
            some = some.filter(state__in=[State.PLANNED, State.SENDING]).order_by("pk")
            ids = list(some.select_for_update(skip_locked=True).values_list("pk", flat=True))
            rows = DirectMessage.objects.filter(pk__in=ids)
            end = guarantees.unless_in_doubt(state, reason=reason, detail="see its job")
            ended += rows.filter(state=State.PLANNED).update(**end)
            lost = {"state": State.IN_DOUBT, "doubts": F("doubts") + 1, "detail": "its job ended while sending"}
            ended += rows.filter(state=State.SENDING).update(**lost)
    return ended
