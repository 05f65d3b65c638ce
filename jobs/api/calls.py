"""What a request says about a job to make, and the row that it means.

Used by `jobs` and `schedules`. Our own words stand beside the task: seconds, and moments with a zone. Those of Bull's
family stand in `options`, with its units: milliseconds. The promise: what cannot be honoured is refused with the
reason, and never ignored.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from pydantic import Field, StrictInt

from jobs import aliases, registry, rows, when
from jobs.api.asked import Arguments, Asked, Moment, Name, Seconds
from jobs.api.callers import Caller
from jobs.api.problems import Problem, invalid
from jobs.durable import Durable, Priority
from jobs.models import Job
from jobs.payload import PayloadError

Scale = Literal["ours", "ten", "django", "redis", "amqp"]
Level = Annotated[StrictInt | Annotated[str, Field(max_length=20)], Field(examples=["high", 10])]
SCALES = (
    "which scale a number is on: ours (1 to 20, 20 first), ten (1 to 10, 1 first), django (-100 to 100, 100 first), "
    "redis (0 to 9, 0 first), amqp (0 to 9, 9 first). A number without a scale is refused: 1 is first on one and "
    "last on another. Words need none: low, normal, high, urgent."
)
RUN = re.compile(r"@\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d$")  # see `jobs.schedules`: name@moment
Milliseconds = Annotated[int, Field(strict=True, ge=0, le=3_153_600_000_000)]


class Options(Asked):
    """As programs for Bull, BullMQ and Agenda have them."""

    priority: Level | None = Field(None, description="needs priority_scale beside the task, if it is a number")
    delay: Milliseconds | None = None
    attempts: int | None = Field(None, strict=True, ge=1, le=10_000)
    jobId: str | None = Field(None, min_length=1, max_length=255, description="is our unique_key")
    timeout: int | None = Field(None, strict=True, ge=1, le=86_400_000, description="milliseconds")
    removeOnComplete: bool | int | None = Field(
        None, description="taken where this installation keeps as many; see JOBS_KEEP_SUCCEEDED_COUNT"
    )
    removeOnFail: bool | int | None = Field(None, description="false is taken: failed jobs wait for a person")
    backoff: Any = Field(None, description="refused: the task says how long it waits between attempts")
    repeat: Any = Field(None, description="refused: see POST /schedules")


class JobCall(Asked):
    """A job to make."""

    task: str = Field("", max_length=255, description="its name, or another it is known by: see GET /jobs/types")
    type: str = Field("", max_length=255, description="the same as task, as other systems call it")
    data: Arguments = Field({}, description="its arguments by name", examples=[{"value": 7}])
    args: list[Any] = Field([], description="its arguments by place")
    queue: Name | None = Field(None, description="null: the task's own")
    priority: Level | None = Field(None, description="which of a queue's due jobs goes first; null: the task's own")
    priority_scale: Scale | None = Field(None, description=SCALES)
    run_at: Moment | None = Field(None, description="not before this moment; a past one is now")
    delay: Seconds | None = Field(None, description="seconds from now")
    delay_ms: Milliseconds | None = Field(None, description="milliseconds from now")
    when: str | None = Field(None, max_length=200, description="in words", examples=["in 30 minutes"])
    unique_key: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="a second call of the tenant with it is the first job, even when that is over and deleted",
        examples=["welcome-7"],
    )
    max_attempts: int | None = Field(
        None,
        strict=True,
        ge=1,
        le=10_000,
        description="in place of the task's; what is tried again at all, the task says",
    )
    timeout: float | None = Field(
        None, strict=True, gt=0, le=86_400, description="seconds, then its process is killed and it fails"
    )
    expires: Moment | Annotated[float, Field(strict=True, gt=0, le=3_153_600_000)] | None = Field(
        None, description="not started after that: a moment, or seconds from now"
    )
    tag: Name = Field(
        "", description="what it is about, to find it by; kept as correlation_id", examples=["booking:17"]
    )
    concurrency_key: Name = Field("", description="how many of a tenant's key run at once: see /limits/keys")
    tenant: Name | None = Field(None, description="tenants take turns within a queue; null: the key's own")
    options: Options | None = None


class Clock:
    """One moment for all jobs of a request, and what its words for times mean."""

    MOST_WORDS = 20  # different ones in a request: each takes some milliseconds to be understood

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now  # by the database's clock; None: as it is when the row is written
        self.read: dict[str, Any] = {}

    def understood(self, text: str) -> Any:
        if text not in self.read:
            if len(self.read) >= self.MOST_WORDS:
                raise invalid("when", f"has more than {self.MOST_WORDS} different texts in one request; pass run_at")
            try:
                self.read[text] = when.understood(text, timezone.now(), timezone.get_current_timezone())
            except (ValueError, OverflowError) as exc:
                raise invalid("when", str(exc)) from exc
        return self.read[text]


def made(call: JobCall, who: Caller, clock: Clock, known: aliases.Gathered | None = None) -> Job:
    """The row, not yet inserted. Raises Problem 403 or 422, which names the field. `known`: see `gathered`."""
    name = _named_once(call)
    kind = named(name, who, read=True)
    said = _said(call)
    queue = queue_of(kind, call.queue)
    tenant = who.tenant_for(call.tenant)
    if not who.scope.holds(queue, tenant):
        raise Problem(403, f"queue: jobs of {queue!r} are not for this key to make.")
    options: dict[str, Any] = {
        "queue": queue,
        "tenant": tenant,
        "priority": level_of(said["priority"], call.priority_scale),
        "unique_key": said["unique_key"],
        "max_attempts": said["max_attempts"],
        "time_limit": said["timeout"],
        "expires": call.expires,
        "correlation_id": call.tag,
        "concurrency_key": call.concurrency_key,
        "now": clock.now,
        **_time(call, said["delay"], clock),
    }
    return filled(kind, call.args, call.data, options, alias=name, who=who, known=known)


def gathered(calls: Iterable[JobCall], who: Caller) -> aliases.Gathered:
    """What readers of others' payloads look up, once for all calls of a request."""
    asked = []
    for call in calls:
        with suppress(Problem):  # told where the call is made
            asked.append((call.task or call.type, call.data, who.tenant_for(call.tenant)))
    return aliases.gathered(asked, who.person())


def filled(
    kind: Durable,
    args: list[Any],
    data: Arguments,
    options: dict[str, Any],
    *,
    alias: str = "",
    who: Any = None,
    known: aliases.Gathered | None = None,
) -> Job:
    """The row of a call with these arguments and our own options of it; `who` by the name that they used."""
    try:
        if who is None:
            return kind.job(args, data, **options)
        return aliases.job(kind, alias, args, data, who.person(), known, **options)
    except PermissionDenied as exc:
        raise Problem(403, f"task: {exc}") from exc
    except PayloadError as exc:
        raise invalid(f"data.{exc.argument}" if exc.argument else "data", str(exc)) from exc
    except TypeError as exc:  # as Python words it: missing 1 required positional argument: 'invoice_id'
        raise invalid("data", f"{exc}. GET /jobs/types has its arguments.") from exc
    except ValueError as exc:
        raise invalid("task", str(exc)) from exc


def kind_of(call: Any, who: Caller) -> Durable:
    """The task that `task`, or `type`, names."""
    return named(_named_once(call), who)


def _named_once(call: Any) -> str:
    if bool(call.task) == bool(getattr(call, "type", "")):
        raise invalid("task", "say which, once: as task or as type")
    name: str = call.task or call.type
    return name


def named(name: str, who: Caller, *, read: bool = False) -> Durable:
    """The task of that name. 422 where there is none, 403 where it is not this caller's.

    With `read` also one that the application alone calls, by a name whose payload is read and checked.
    """
    door = read and aliases.is_read(name)
    name = aliases.meant(name)
    try:
        kind = registry.named(name)
    except LookupError:
        raise invalid("task", f"there is no durable task {name!r}; GET /jobs/types lists those there are") from None
    if kind.internal and not door:
        raise Problem(403, f"task: {name} is called by the application alone.")
    if not who.may_call(name):
        raise Problem(403, f"task: {name} is not for this key to call.")
    return kind


def queue_of(kind: Durable, queue: str | None) -> str:
    try:
        name = rows.lane(kind, queue or None)
    except ValueError as exc:
        raise invalid("queue", str(exc)) from exc
    if name == settings.JOBS_CLOCK_QUEUE:
        raise invalid("queue", f"{name!r} is for the clock's ticks alone")
    return name


def level_of(priority: int | str | None, scale: str | None) -> Priority | None:
    if priority is None:
        return None
    number = isinstance(priority, int) or priority.lstrip("-").isdigit()
    if number and scale is None:
        raise invalid("priority_scale", f"say {SCALES}")
    try:
        return Priority.of(priority, scale=scale or "ours")
    except ValueError as exc:
        raise invalid("priority", str(exc)) from exc


def _time(call: JobCall, delay: float | None, clock: Clock) -> dict[str, Any]:
    """When it runs, said once at most."""
    if call.when is not None:
        return {"when": clock.understood(call.when)}
    return {"eta": call.run_at} if call.run_at else {"countdown": delay}


def _said(call: JobCall) -> dict[str, Any]:
    """What may be said in our words or in others', said once."""
    theirs = call.options or Options.model_validate({})
    _check_kept(theirs)
    if theirs.backoff is not None:
        raise invalid("options.backoff", "the task says how long it waits between attempts; leave it out")
    if theirs.repeat is not None:
        raise invalid("options.repeat", "what recurs is a schedule: POST /schedules")
    times = {"run_at": call.run_at, "delay": call.delay, "delay_ms": call.delay_ms, "when": call.when}
    times["options.delay"] = theirs.delay
    if len(given := [name for name, value in times.items() if value is not None]) > 1:
        raise invalid(given[1], f"{given[0]} says when to run already; say one of them")
    delay_ms = call.delay_ms if theirs.delay is None else theirs.delay
    return {
        "priority": _once("priority", call.priority, theirs.priority),
        "delay": call.delay if delay_ms is None else delay_ms / 1000,
        "max_attempts": _once("attempts", call.max_attempts, theirs.attempts),
        "unique_key": _free(_once("jobId", call.unique_key, theirs.jobId)),
        "timeout": _once("timeout", call.timeout, None if theirs.timeout is None else theirs.timeout / 1000),
    }


def _free(key: str | None) -> str | None:
    """Raises Problem 422 for the key of a schedule's run: whoever took it first would keep the run from being made."""
    if key is not None and RUN.search(key):
        raise invalid("unique_key", "ends with @ and a moment, as the runs of schedules do; take another")
    return key


def _once(name: str, ours: Any, theirs: Any) -> Any:
    if ours is not None and theirs is not None:
        raise invalid(f"options.{name}", "is said twice, once in our words; leave one out")
    return theirs if ours is None else ours


def _check_kept(theirs: Options) -> None:
    """How long a job is kept is the installation's to say, by its age: a customer may ask about it."""
    days, count = settings.JOBS_KEEP_DAYS, settings.JOBS_KEEP_COUNT["succeeded"]
    done, failed = theirs.removeOnComplete, theirs.removeOnFail
    if done is not None and not (done is False and not count) and not (done is not True and done and done == count):
        kept = f"{days['succeeded']} days" + (f", {count} of them at most" if count else "")
        raise invalid("options.removeOnComplete", f"jobs that succeeded are kept for {kept}; leave it out")
    if failed is not None and failed is not False:
        raise invalid(
            "options.removeOnFail", f"jobs that failed wait for a person, {days['failed']} days; leave it out"
        )


def lasting(seconds: float | None, milliseconds: int | None) -> timedelta | None:
    if seconds is not None and milliseconds is not None:
        raise invalid("delay_ms", "delay says it already, in seconds; say one of them")
    if milliseconds is not None:
        return timedelta(milliseconds=milliseconds)
    return None if seconds is None else timedelta(seconds=seconds)
