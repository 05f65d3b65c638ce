"""Sending one delivery: what `reminders.deliver` does in a worker.

Look, render, write the intent, call the provider, record what it said. The promise: nothing outside is called inside
a transaction, nothing is called without an intent, and every way out of here leaves a state and a reason.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, InterfaceError
from django.db.models.functions import Now

from jobs.durable import Durable, Snooze
from jobs.ledger import Job
from notifications import crowding, digests, fence, guarantees, outcomes, rendering, timing
from notifications.channels import CHANNELS
from notifications.channels.base import Busy, Message, Refused, Unknown
from notifications.fallbacks import JobFor
from notifications.models import Delivery
from notifications.occurrences import quiet_hours
from notifications.outcomes import Intent
from notifications.planning import Reason, State, still_unwanted

BACKOFF, LONGEST_BACKOFF = 5, 900  # seconds: the first pause after a provider was busy, and the longest
REWRITTEN = 3  # times, when what belongs into a digest changes under the pen


@dataclass(frozen=True)
class Look:
    """A delivery as it was at a moment of the database's clock."""

    delivery: Delivery
    now: datetime


def look(pk: UUID | str) -> Look | None:
    with_all = ("rule", "customer", "booking", "payment", "digest", "bulk")
    row = Delivery.objects.select_related(*with_all).annotate(now=Now()).filter(pk=pk).first()
    return None if row is None else Look(row, row.now)


def send(task: Durable, pk: str, job_for: JobFor) -> str:
    """Send one delivery now, unless nobody wants it any more. Returns the delivery's state."""
    seen = look(pk)
    if seen is None:
        return "withdrawn"
    if seen.delivery.state == State.SENDING:
        seen = _recovered(seen, job_for)
    delivery, now = seen.delivery, seen.now
    digest = delivery.digest if delivery.reason == Reason.IN_DIGEST else None
    if digest is not None and digest.state in (State.SENDING, State.PLANNED):
        raise Snooze(now + crowding.LOOK_AGAIN)  # it may be given back
    if delivery.state != State.PLANNED:
        return delivery.state
    if delivery.send_at > now:
        raise Snooze(delivery.send_at)
    if reason := still_unwanted(delivery):
        return outcomes.skipped(delivery, job_for, reason)
    quiet = quiet_hours(delivery.rule, delivery.customer)
    loud = timing.out_of_quiet(now, delivery.send_at, delivery.useful_until, quiet)  # it may be late
    if loud is None:
        return outcomes.skipped(delivery, job_for, Reason.QUIET_HOURS)
    if loud > now:
        raise Snooze(loud)
    return _attempt(task, seen, job_for)


def _recovered(seen: Look, job_for: JobFor) -> Look:
    """An earlier attempt wrote its intent and never came back: only the provider, or a person, knows what became of it.

    Where it may be tried again, it waits until no request of the lost worker can be under way any more: until then
    nobody could honestly be told "cancelled".
    """
    delivery = seen.delivery
    again = guarantees.of(delivery.channel).allows_another(delivery, seen.now)
    if again and (over := guarantees.nothing_open_at(delivery)) > seen.now:
        raise Snooze(over)
    lost = Intent(delivery, delivery.token or 0, job_for)
    lost.unknown("the worker was lost while sending", again=again)
    now = look(delivery.pk)
    if now is None or now.delivery.state == State.SENDING:
        raise Busy("an earlier attempt, only slow, has just told its outcome")
    return now


def _attempt(task: Durable, seen: Look, job_for: JobFor) -> str:
    delivery, job = seen.delivery, task.running.job
    for _ in range(REWRITTEN):
        delivery.companions = digests.gathered(delivery, seen.now)
        message = _rendered(seen, job_for)
        try:
            CHANNELS[delivery.channel].ready(message)
        except Busy as exc:
            return _left_alone(delivery, exc, job_for)
        try:
            if not fence.intend(delivery, message.to, job, content=rendering.fingerprint(message)):
                return _explained(delivery, job, job_for)
        except digests.Changed:
            continue
        return _handed_over(task, Intent(delivery, job.token, job_for), message)
    raise Busy("what belongs into this message keeps changing")


def _rendered(seen: Look, job_for: JobFor) -> Message:
    delivery = seen.delivery
    together = [payment for payment in (delivery.payment, *(one.payment for one in delivery.companions)) if payment]
    try:
        return rendering.render(delivery, payments=together, now=seen.now)
    except (DatabaseError, InterfaceError, OSError, SoftTimeLimitExceeded) as exc:
        # The machine's fault and not the words': later it can be written.
        raise Busy(f"the message could not be written: {type(exc).__name__}") from exc
    except Exception as exc:
        outcomes.skipped(delivery, job_for, Reason.BROKEN_TEMPLATE, f"{type(exc).__name__}: {exc}")
        raise


def _explained(delivery: Delivery, job: Job, job_for: JobFor) -> str:
    """The fence did not open."""
    seen = look(delivery.pk)
    if seen is None:
        return "withdrawn"
    if seen.delivery.state != State.PLANNED:
        return seen.delivery.state  # whoever decided that has said why
    if seen.delivery.send_at > seen.now:
        raise Snooze(seen.delivery.send_at)  # it was moved
    reason = fence.why_not(delivery.pk, job)
    if reason != Reason.SUPERSEDED:
        return outcomes.skipped(seen.delivery, job_for, reason)
    if state := outcomes.gave_way(seen.delivery, job_for):
        return state
    raise Snooze(seen.now + crowding.LOOK_AGAIN)  # the other goes, but may still fail


def _handed_over(task: Durable, intent: Intent, message: Message) -> str:
    """Call the provider, and record what it says."""
    delivery = intent.delivery
    try:
        receipt = CHANNELS[delivery.channel](message, idempotency_key=str(delivery.pk))
    except Busy as exc:
        return _busy(intent, exc, failures=task.running.job.failures)
    except Refused as exc:
        intent.refused(str(exc), exc.suppress)
        raise
    except Exception as exc:
        # Unknown, or something nobody thought of: the provider may have the message.
        why = str(exc) if isinstance(exc, Unknown) else type(exc).__name__  # its text may hold an address
        again = guarantees.of(delivery.channel).allows_another(delivery, crowding.database_now())
        state = intent.unknown(why, again=again)
        if state == State.SENT:
            return state
        if state == State.PLANNED:
            raise Busy(f"nobody knows whether it was taken; it is sent again: {why}") from None
        raise Unknown(why) from None
    return intent.accepted(receipt)


def _busy(intent: Intent, exc: Busy, *, failures: int) -> str:
    """Not now. Another channel takes over if this one cannot be tried again while the message is useful."""
    now, delivery = crowding.database_now(), intent.delivery
    pause = exc.retry_after or timedelta(seconds=min(BACKOFF * 2 ** min(failures, 20), LONGEST_BACKOFF))
    if now + pause >= delivery.useful_until and not delivery.doubts and intent.rerouted(str(exc)):
        return State.SKIPPED
    intent.put_back(str(exc))
    if exc.retry_after:
        raise Snooze(now + exc.retry_after)
    raise exc


def _left_alone(delivery: Delivery, exc: Busy, job_for: JobFor) -> str:
    """The provider does not work and is not asked: another channel, if there is one; else later."""
    if not delivery.doubts and outcomes.rerouted_unsent(delivery, job_for, str(exc)):
        return State.SKIPPED
    if exc.retry_after:
        raise Snooze(crowding.database_now() + exc.retry_after)
    raise exc
