"""For the tests of projects with durable tasks: what was enqueued, run what is due in this process, and set the clock.

    def test_an_invoice_is_sent_when_it_is_due(db):
        order.confirm()
        testing.assert_enqueued(send_invoice, kwargs={"invoice": 7}, at=order.due)
        with testing.frozen(order.due), testing.worker() as worker:
            worker.run_due()

Jobs run with their real semantics: rows, messages of the in-process broker, Celery's tracer, retries, snoozes, cancels.
The settings of the tests need CELERY_BROKER_URL = "memory://"; `frozen` needs the package time-machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from celery import current_app as _current_app
from celery.app.trace import build_tracer, setup_worker_optimizations, trace_task_ret
from django.db.models.functions import Now
from django.utils import timezone

from jobs import dispatcher, heartbeat, hold, recorder, ticks
from jobs.durable import Durable
from jobs.events import events
from jobs.models import Job

try:
    import time_machine
except ImportError:
    time_machine = None  # type: ignore[assignment]

current_app: Any = _current_app  # its channel is the in-process transport's, which the stubs do not know
ROUNDS = 1_000  # of jobs that make jobs; then one of them makes itself
SECOND = timedelta(seconds=1)
NEVER = timedelta(days=1)  # within a test
Outcome = tuple[int, Any, float | None]  # what a pool process tells its parent: (failed, value, seconds)


# --- What was enqueued ----------------------------------------------------------------------------------


def enqueued(task: Durable, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> list[Job]:
    """The task's jobs, of any state, the oldest first. With arguments: those of a call with just these."""
    found = list(Job.objects.filter(task=task.name).order_by("pk"))
    if args is None and kwargs is None:
        return found
    wanted = _by_name(task, *task.payload.dump(args or (), kwargs or {}))
    return [job for job in found if _by_name(task, job.args, job.kwargs) == wanted]


def assert_enqueued(
    task: Durable,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    at: datetime | None = None,
    within: timedelta = SECOND,
    times: int = 1,
    **fields: Any,
) -> Job:
    """There are so many such jobs: for this moment give or take, with these columns (queue, priority, tenant ...).

    How the arguments were passed, by place or by name, makes no difference. Returns the last of them.
    """
    found = [job for job in enqueued(task, args, kwargs) if _fits(job, at, within, fields)]
    if len(found) != times:
        raise AssertionError(f"{len(found)} of {times} such jobs of {task.name}. It has: {_told(task)}")
    return found[-1] if found else Job(task=str(task.name))


def assert_not_enqueued(task: Durable, args: Sequence[Any] | None = None, kwargs: Any = None, **fields: Any) -> None:
    """There is no such job."""
    assert_enqueued(task, args, kwargs, times=0, **fields)


def _fits(job: Job, at: datetime | None, within: timedelta, fields: Mapping[str, Any]) -> bool:
    if at is not None and abs(job.run_at - at) > within:
        return False
    return all(getattr(job, name) == value for name, value in fields.items())


def _by_name(task: Durable, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    places = task.payload.positional
    return {places[n] if n < len(places) else str(n): value for n, value in enumerate(args)} | dict(kwargs)


def _told(task: Durable) -> str:
    jobs = [f"{job.state} {job.args} {job.kwargs} at {job.run_at.isoformat()} in {job.queue}" for job in enqueued(task)]
    return "; ".join(jobs) or "none"


# --- Running --------------------------------------------------------------------------------------------


class Worker:
    """Takes messages from the in-process broker and runs them through the code that a pool process runs."""

    def __init__(self) -> None:
        if not str(current_app.conf.broker_url).startswith("memory:"):
            raise RuntimeError('Set CELERY_BROKER_URL = "memory://" in the settings of your tests.')
        setup_worker_optimizations(current_app._get_current_object())
        current_app.use_fast_trace_task = False
        for name, task in current_app.tasks.items():
            task.__trace__ = build_tracer(name, task, current_app.loader, app=current_app)

    def messages(self) -> list[Any]:
        """Take everything that waits at the broker, in order."""
        taken = []
        with current_app.connection_for_write() as connection:
            channel = connection.default_channel
            for queue in current_app.amqp.queues:
                while (message := channel.basic_get(queue, no_ack=True)) is not None:
                    taken.append(channel.message_to_python(message) if isinstance(message, dict) else message)
        return taken

    def run(self, message: Any) -> Outcome:
        """Run one message."""
        request = dict(message.headers) | {"properties": message.properties, "delivery_info": message.delivery_info}
        outcome: Outcome = trace_task_ret(
            request["task"],
            request["id"],
            request,
            message.body,
            message.content_type,
            message.content_encoding,
            app=current_app._get_current_object(),
        )
        return outcome

    def run_all(self) -> list[Outcome]:
        """Run what waits at the broker."""
        return [self.run(message) for message in self.messages()]

    def run_due(self, now: datetime | None = None) -> list[Outcome]:
        """Dispatch what is due, now or at `now`, and run it once."""
        dispatcher.dispatch_due(now)
        return self.run_all()

    def drain(self, now: datetime | None = None) -> int:
        """The same until nothing is due any more, with the jobs that jobs have made. Returns how many messages ran."""
        ran = 0
        for _ in range(ROUNDS):
            if not (some := self.run_due(now)):
                return ran
            ran += len(some)
        raise AssertionError(f"after {ROUNDS} rounds there are still jobs due: one of them makes itself again")


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker within a test's transaction: the threads of a real one would not see what is not committed.

    Nor does it do anything because some time has passed, as to fetch more when a job is done: what a test finds then
    would depend on how fast its machine is.
    """
    with ExitStack() as stack:
        for target, name, value in (
            (recorder, "LONGEST_WAIT", NEVER),
            (recorder, "WAIT", NEVER.total_seconds()),
            (heartbeat, "INTERVAL", timedelta(hours=1)),
            (dispatcher, "REFILL_INTERVAL", NEVER),
            (events, "flow", lambda: None),  # its thread would go on to publish in the tests that follow
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        yield Worker()


# --- The clock ------------------------------------------------------------------------------------------


class Clock:
    """Stands still until it is moved."""

    def __init__(self, move_to: Callable[[datetime], None]) -> None:
        self.move_to = move_to

    @property
    def now(self) -> datetime:
        return timezone.now()

    def advance(self, by: timedelta) -> datetime:
        """Returns the new time."""
        self.move_to(self.now + by)
        return self.now


@contextmanager
def frozen(start: datetime) -> Iterator[Clock]:
    """Python and the database show this time: every statement reads it, so what is due is due by it."""
    if time_machine is None:
        raise RuntimeError("testing.frozen needs the package time-machine: pip install time-machine")
    with ExitStack() as stack:
        traveller = stack.enter_context(time_machine.travel(start, tick=False))
        for target, name, value in (
            (Now, "as_sqlite", _literal),
            (Now, "as_postgresql", _literal),
            (hold, "TOLERANCE", timedelta(days=100_000)),  # a jump of this clock is nothing to be afraid of
            (ticks, "_witness", hold.Witness()),  # the process's own remembers nothing of this
        ):
            stack.enter_context(mock.patch.object(target, name, value, create=True))
        yield Clock(traveller.move_to)


def _literal(self: Now, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
    now = timezone.now().astimezone(UTC)
    if connection.vendor == "postgresql":
        return "%s::timestamptz", (now.isoformat(),)
    return "%s", (str(now.replace(tzinfo=None)),)  # as Django writes a moment: SQLite compares texts
