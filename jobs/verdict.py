"""What Celery's tracer says about an attempt, as the ledger's next verb. Pure.

Used by the executor. The tracer answers with a value and, unless the task simply returned, with its state and the
exception; here that becomes one of the words that `recorder` writes into the row.
"""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import states
from celery.exceptions import Ignore, Retry

from jobs import payload
from jobs.models import Attempt, Job
from jobs.options import moment
from jobs.payload import PayloadError, storable

logger = logging.getLogger(__name__)

GATHER = "jobs.gather"  # returns what a whole group returned, each small enough
NOT_KEPT = "result_not_kept"
LONGEST_DELAY = timedelta(days=3650)


class Snooze(Retry):
    """A task raises it to run again at `until` (aware; in a second at the earliest), without counting a failure."""

    def __init__(self, until: datetime) -> None:
        until = moment(until, "until")
        super().__init__(f"until {until.isoformat()}", when=until)
        self.until = until

    def __reduce__(self) -> Any:  # Retry's own would call __init__ with Retry's arguments, in the worker's parent
        return Snooze, (self.until,)


class Replaced(Ignore):
    """Ends a body that another job replaces, see replacing.py."""

    def __init__(self, signature: Any, successor: str) -> None:
        super().__init__(f"replaced by {successor}")
        self.signature, self.successor = signature, successor

    def __reduce__(self) -> Any:  # on its way to the worker's main process, which needs no more
        return Ignore, (str(self),)


class Permanent(Exception):
    """A task raises it (or a subclass) when trying again is of no use, whatever its autoretry_for says."""


class Stop(Ignore):
    """A task raises it when it finds that it was asked to stop: the job ends as cancelled."""


@dataclass
class Verdict:
    """One attempt, judged. `verb` is the ledger's; `delay` and `changes` belong to back_off and snooze."""

    job: Job
    verb: str
    took: timedelta
    result: Any = None
    delay: timedelta | datetime = timedelta()
    changes: dict[str, Any] = field(default_factory=dict)
    attempt: Attempt | None = None
    successor: Replaced | None = None
    outcome: str = ""  # when it is in the row already


def judge(job: Job, took: timedelta, value: Any, info: Any) -> Verdict:
    """`value` and `info` are the first two parts of the tracer's answer."""
    if info is None:
        with payload.gathered() if job.task == GATHER else nullcontext():
            return Verdict(job, "succeed", took, result=_returned(job, value))
    error = info.retval
    attempt = Attempt(duration=took, outcome=Attempt.Outcome.ERRORED, worker=job.worker)
    attempt.error, attempt.exception = _error(error), path_of(error)
    attempt.traceback = clean(str(getattr(value, "traceback", "")))
    if isinstance(error, Stop):
        return Verdict(job, "stop", took, attempt=attempt)
    if isinstance(error, Replaced):
        return Verdict(job, "succeed", took, successor=error)
    if info.state == states.IGNORED:
        return Verdict(job, "succeed", took)
    if isinstance(error, Snooze):
        attempt.outcome = Attempt.Outcome.SNOOZED
        return Verdict(job, "snooze", took, delay=error.until, attempt=attempt)
    if info.state == states.RETRY:
        attempt.error, attempt.exception = _error(error.exc or error), path_of(error.exc or error)
        changes = getattr(error, "changes", {})
        return Verdict(job, "back_off", took, delay=_delay(error.when), changes=changes, attempt=attempt)
    if info.state == states.REJECTED and error.requeue:
        return Verdict(job, "back_off", took, attempt=attempt)
    return Verdict(job, "give_up", took, result=stored(error), attempt=attempt)


def stored(error: BaseException) -> dict[str, Any]:
    """The exception as Celery's result backends store one."""
    kind = type(error)
    message = [_kept(part) for part in error.args]
    return {"exc_type": kind.__qualname__, "exc_module": kind.__module__, "exc_message": message}


def _delay(when: Any) -> timedelta | datetime:
    if isinstance(when, datetime):
        return min(when, datetime.now(UTC) + LONGEST_DELAY)
    return timedelta(seconds=min(max(float(when or 0), 0.0), LONGEST_DELAY.total_seconds()))


def _error(exc: Any) -> str:
    try:
        return clean(f"{type(exc).__name__}: {exc}"[:2000])
    except Exception:  # its own __str__ is broken; that must not cost the job its end
        return type(exc).__name__


def path_of(exc: Any) -> str:
    return f"{type(exc).__module__}.{type(exc).__qualname__}"[:255]


def clean(text: str) -> str:
    """The text without what databases refuse: NUL and halves of surrogate pairs."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _returned(job: Job, value: Any) -> Any:
    """What a job returned as the row keeps it. It is done, so what is too large costs it its result, not its success.

    What stands there instead is an object: no text or list, which a next step could take for the result.
    """
    try:
        return storable(value, "result")
    except payload.TooLarge as exc:
        text = "job=%s task=%s its result of %s bytes is not kept; store the data and return its id"
        logger.warning(text, job.pk, job.name, exc.size)
        return {NOT_KEPT: {"bytes": exc.size, "most": payload.LONGEST, "begins": _shown(value)}}
    except PayloadError:
        return _shown(value)


def _kept(value: Any) -> Any:
    """A part of an exception as the row keeps it: as JSON, or as its repr where JSON has no word for it."""
    try:
        return storable(value, "result")
    except PayloadError:
        return _shown(value)


def _shown(value: Any) -> str:
    try:
        return clean(repr(value)[:2000])
    except Exception:  # nested too deeply, or a broken __repr__
        return f"a {type(value).__name__} that cannot be shown"
