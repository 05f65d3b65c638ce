"""Sample tasks of Django's Tasks API, and where its names come from."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import django
from asgiref.sync import sync_to_async
from celery.exceptions import Retry

from jobs.durable import Snooze, Stop
from jobs.models import Job
from tests.probes import RAN, Flaky

if TYPE_CHECKING or django.VERSION < (6, 0):
    from django_tasks import TaskContext, default_task_backend, task, task_backends
    from django_tasks.exceptions import TaskResultMismatch
else:
    from django.tasks import TaskContext, default_task_backend, task, task_backends
    from django.tasks.exceptions import TaskResultMismatch

__all__ = ["RAN", "TaskResultMismatch", "default_task_backend", "task", "task_backends"]


@task()
def echo(*args: Any, **kwargs: Any) -> Any:
    RAN.append(("echo", (args, kwargs)))
    return [*args, kwargs]


@task
async def echo_async(*args: Any, **kwargs: Any) -> Any:
    RAN.append(("echo_async", (args, kwargs)))
    return [*args, kwargs]


@task(priority=20, queue_name="messages")
def add(one: int, *, two: int = 2) -> int:
    RAN.append(("add", one))
    return one + two


@task()
async def count_jobs() -> int:
    return await sync_to_async(Job.objects.count)()


@task(takes_context=True)
def look_around(context: TaskContext, note: str) -> Any:
    result = context.task_result
    return [note, result.id, str(result.status), context.attempt, result.task.module_path]


@task()
def fail(text: str = "no") -> None:
    RAN.append(("fail", text))
    raise Flaky(text)


@task()
async def fail_async(text: str = "no") -> None:
    raise Flaky(text)


@task()
def leave(code: Any = None) -> None:
    raise SystemExit(code)


@task(takes_context=True)
def succeed_at(context: TaskContext, attempt: int, seconds: Any = 60) -> int:
    if context.attempt < attempt:
        raise Retry(exc=Flaky(f"attempt {context.attempt}"), when=seconds)
    return context.attempt


@task(takes_context=True)
def snooze_once(context: TaskContext, until: str) -> int:
    if context.attempt == 1:
        raise Snooze(datetime.fromisoformat(until))
    return context.attempt


@task()
def stop() -> None:
    raise Stop


@task()
def give(what: str) -> Any:
    return {
        "a tuple": (1, 2),
        "bytes": b"abc",
        "an object": object(),
        "not a number": float("nan"),
        "NUL": "a\x00b",
        "half a pair": "\ud800",
        "a backslash": r"\u0000",
    }[what]


def plain(value: int = 0) -> int:
    return value


renamed = task(plain)
