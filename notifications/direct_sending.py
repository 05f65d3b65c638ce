"""Sending one direct message: look, render, write the intent, call the provider, record what it said.

Used by the tasks of `direct`. Shorter than `sending` because there is no anchor, no rule and no other channel; the
order and the promise are the same: nothing outside is called inside a transaction or without an intent, and each step
is one guarded UPDATE under the attempt's token.
"""

import time
from datetime import datetime
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from jobs import ledger
from jobs.durable import AWAY, Durable, Permanent, Snooze, Stop, insist
from notifications import attachments, destinations, direct_words, guarantees, reach, wording
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Message, Receipt, Refused, Unknown
from notifications.guarantees import QUARANTINE
from notifications.models import Channel, Delivery, DirectMessage, Suppression

State, Reason = Delivery.State, Delivery.Reason


def send(task: Durable, pk: UUID, channel: Channel) -> str:
    """Returns the message's state."""
    row, now = _look(pk)
    if row.channel != channel:
        raise Permanent(f"The message {pk} goes by {row.channel} and not by {channel.value}.")
    if row.state == State.SENDING:
        row = _recovered(row, now)
    if row.state != State.PLANNED:
        return row.state
    if row.send_at > now:
        raise Snooze(row.send_at)
    message = _rendered(row)
    try:
        CHANNELS[row.channel].ready(message)
    except Busy as exc:
        _wait(exc, now)
    if not intend(row, message.to, task.running.job):
        return _explained(row, message.to, task.running.job)
    return _handed_over(row, task.running.job.token, message)


def _look(pk: UUID) -> tuple[DirectMessage, datetime]:
    row = DirectMessage.objects.select_related("customer").annotate(now=Now()).filter(pk=pk).first()
    if row is None:
        raise Permanent(f"There is no message {pk}: write one with direct.write().")
    return row, row.now


def _rendered(row: DirectMessage) -> Message:
    try:
        return direct_words.render(row)
    except wording.BadTemplate as exc:
        _skip(row, Reason.BROKEN_TEMPLATE, str(exc))
        raise Permanent(str(exc)) from exc
    except attachments.Withheld as exc:
        _skip(row, Reason.NO_FILE, str(exc))
        raise Permanent(str(exc)) from exc
    except (OSError, SoftTimeLimitExceeded) as exc:  # the machine's fault, or the storage's: later it can be written
        raise Busy(f"the message could not be written: {type(exc).__name__}") from exc


def _recovered(row: DirectMessage, now: datetime) -> DirectMessage:
    """An earlier attempt wrote its intent and never came back."""
    again = guarantees.of(row.channel).allows_another(row, now)
    if again and (over := guarantees.nothing_open_at(row)) > now:
        raise Snooze(over)
    _unknown(row, row.token or 0, "the worker was lost while sending", again=again)
    return _look(row.pk)[0]


# --- The fence ------------------------------------------------------------------------------------------


def intend(row: DirectMessage, address: str, job: ledger.Job) -> bool:
    """Write the intent. False: something does not hold any more. The request begins within the quarantine, or not."""
    asked = time.monotonic()
    holds = Q(state=State.PLANNED, send_at__lte=Now()) & Q(ledger.holds(job, lasting=QUARANTINE))
    for _reason, condition in _conditions(row, address):
        holds &= condition
    mine = DirectMessage.objects.filter(pk=row.pk)
    try:
        intent = destinations.intended(row.channel, address) | {"token": job.token}
        if not mine.filter(holds).update(state=State.SENDING, intent_at=Now(), **intent):
            return False
    except AWAY:  # it may be written; certainly nothing was sent
        _take_back(row, job.token)
        raise
    if time.monotonic() - asked > QUARANTINE.total_seconds():
        _take_back(row, job.token)
        raise Busy("this worker was stopped between the intent and the request")
    return True


def _take_back(row: DirectMessage, token: int) -> None:
    mine = DirectMessage.objects.filter(pk=row.pk, state=State.SENDING, token=token)
    insist(lambda: mine.update(state=State.PLANNED))


def _conditions(row: DirectMessage, address: str) -> list[tuple[str, Q]]:
    """What has to hold, and the reason why not where it does not."""
    useful = (Reason.TOO_LATE, Q(useful_until__isnull=True) | Q(useful_until__gt=Now()))
    of_whom = reach.of_address if row.customer_id is None else reach.conditions
    return [useful, *of_whom(row.channel, address)]


def _explained(row: DirectMessage, address: str, job: ledger.Job) -> str:
    """The fence did not open."""
    mine = DirectMessage.objects.filter(pk=row.pk)
    for reason, condition in _conditions(row, address):
        if not mine.filter(condition).exists():
            return _skip(row, reason)
    if not mine.filter(Q(ledger.holds(job))).exists():
        raise Stop("the job was cancelled, or given to another worker")
    if mine.filter(state=State.PLANNED).exists():
        raise Busy("this worker's lease is nearly over, or the message was changed at this very moment")
    return str(mine.values_list("state", flat=True).get())


# --- What the provider said -----------------------------------------------------------------------------


def _handed_over(row: DirectMessage, token: int, message: Message) -> str:
    try:
        receipt = CHANNELS[row.channel](message, idempotency_key=str(row.pk))
    except Busy as exc:
        told, sending = {"state": State.PLANNED, "detail": str(exc)}, _mine(row, token).filter(state=State.SENDING)
        insist(lambda: sending.update(**told))
        _wait(exc, _look(row.pk)[1])
    except Refused as exc:
        _refused(row, token, exc)
        raise
    except Exception as exc:
        # Unknown, or something nobody thought of: the provider may have the message.
        why = str(exc) if isinstance(exc, Unknown) else type(exc).__name__  # its text may hold an address
        again = guarantees.of(row.channel).allows_another(row, _look(row.pk)[1])
        state = _unknown(row, token, why, again=again)
        if state == State.SENT:
            return state
        if state == State.PLANNED:
            raise Busy(f"nobody knows whether it was taken; it is sent again: {why}") from None
        raise Unknown(why) from None
    return _accepted(row, token, receipt)


def _mine(row: DirectMessage, token: int) -> "QuerySet[DirectMessage]":
    """In doubt too: a slow worker that was given up for dead is still the one who knows."""
    return DirectMessage.objects.filter(pk=row.pk, token=token, state__in=[State.SENDING, State.IN_DOUBT])


def _accepted(row: DirectMessage, token: int, receipt: Receipt) -> str:
    told = {"sent_at": Now(), "provider_id": receipt.provider_id, "detail": ""}
    insist(lambda: _mine(row, token).update(state=State.SENT, doubts=_without_mine(), **told))
    return State.SENT.value


def _refused(row: DirectMessage, token: int, exc: Refused) -> None:
    if exc.suppress:
        to = reach.normalised(row.channel, direct_words.address(row))
        barred = Suppression(channel=row.channel, address=to, cause=exc.suppress, detail=str(exc))
        Suppression.objects.bulk_create([barred], ignore_conflicts=True)
    others = Q(state=State.SENDING, doubts__gt=0) | Q(state=State.IN_DOUBT, doubts__gt=1)  # of earlier attempts
    state = Case(When(others, then=Value(State.IN_DOUBT)), default=Value(State.REFUSED))
    insist(lambda: _mine(row, token).update(state=state, doubts=_without_mine(), detail=str(exc)))


def _unknown(row: DirectMessage, token: int, why: str, *, again: bool) -> str:
    """Returns the message's state."""
    rows = _mine(row, token).filter(state=State.SENDING)
    changes = guarantees.unknown(State.PLANNED if again else State.IN_DOUBT, why)
    insist(lambda: rows.update(**changes))
    return str(DirectMessage.objects.values_list("state", flat=True).get(pk=row.pk))


def _without_mine() -> Case:
    mine = When(state=State.IN_DOUBT, doubts__gt=0, then=F("doubts") - 1)
    return Case(mine, default=F("doubts"), output_field=guarantees.COUNT)


def _skip(row: DirectMessage, reason: str, detail: str = "") -> str:
    rows = DirectMessage.objects.filter(pk=row.pk, state=State.PLANNED)
    rows.update(**guarantees.unless_in_doubt(State.SKIPPED, reason=reason, detail=detail))
    return str(DirectMessage.objects.values_list("state", flat=True).get(pk=row.pk))


def _wait(exc: Busy, now: datetime) -> Any:
    if exc.retry_after:
        raise Snooze(now + exc.retry_after)
    raise exc
