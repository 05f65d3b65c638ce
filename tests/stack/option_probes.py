"""Tasks that show, from inside a real worker, what became of an option.

What a body wants to tell it returns, or logs with its job; what happens elsewhere in the worker is noted in a file.
"""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import group, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.result import AsyncResult
from celery.worker import strategy
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from pydantic import BaseModel

from jobs.durable import Durable

SOON = timedelta(milliseconds=200)


class Flaky(Exception):
    pass


def note(text: str) -> None:
    """Tell the test, from any process."""
    with (Path(settings.DATA_DIR) / "notes").open("a") as file:
        file.write(f"{text}\n")


# --- The plain ones -------------------------------------------------------------------------------------


@shared_task(base=Durable, bind=True, name="option.look")
def look(self: Durable, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What the body sees of its own call."""
    request = self.request
    return {
        "id": request.id,
        "args": list(request.args or ()),
        "kwargs": request.kwargs,
        "retries": request.retries,
        "headers": {name: value for name, value in (request.headers or {}).items() if name.startswith("x-")},
        "queue": (request.delivery_info or {}).get("routing_key"),
        "parent": request.parent_id,
        "root": request.root_id,
        "group": request.group,
        "limits": list(request.timelimit or ()),
        "stamps": request.stamps,
        "stamped": list(request.stamped_headers or ()),
        "nesting": request.replaced_task_nesting,
        "origin": request.origin,
        "eager": request.is_eager,
        "direct": request.called_directly,
        "host": request.hostname,
    }


@shared_task(base=Durable, name="option.echo")
def echo(value: Any = None) -> Any:
    return value


@shared_task(base=Durable, name="option.add")
def add(a: int, b: int) -> int:
    return a + b


@shared_task(base=Durable, name="option.total")
def total(values: list[int]) -> int:
    return sum(values)


@shared_task(base=Durable, name="option.fail", throws=(Flaky,))
def fail(text: str = "no") -> None:
    raise (ValueError if text.startswith("unexpected") else Flaky)(text)


@shared_task(base=Durable, bind=True, name="option.sleep", max_retries=1)
def sleep(self: Durable, seconds: float = 60) -> int:
    """Long, and at its second attempt short."""
    time.sleep(0 if self.request.retries else seconds)
    return self.request.retries


@shared_task(base=Durable, bind=True, name="option.parent")
def parent(self: Durable) -> str:
    return str(look.delay("child").id)


@shared_task(base=Durable, name="option.waits")
def waits(pk: str) -> Any:
    return AsyncResult(pk).get(timeout=1)


# --- Attributes -----------------------------------------------------------------------------------------


@shared_task(base=Durable, bind=True, name="option.own", queue="messages", priority=10, expires=0.05)
def own(self: Durable) -> None:
    """Its options stand with the task."""


@shared_task(base=Durable, name="option.untyped", typing=False)
def untyped(value: Any) -> Any:
    return value


@shared_task(base=Durable, name="option.quiet", ignore_result=True)
def quiet() -> str:
    return "not kept"


class Model(BaseModel):
    number: int


@shared_task(base=Durable, name="option.modelled", pydantic=True)
def modelled(model: Model) -> Model:
    return Model(number=model.number + 1)


@shared_task(
    base=Durable, name="option.named", shadow_name=lambda task, args, kwargs, options: f"{task.name} {args[0]}"
)
def named(which: str) -> str:
    return which


@shared_task(base=Durable, name="option.late", acks_late=True, reject_on_worker_lost=True, bind=True)
def late(self: Durable) -> int:
    if not self.request.retries:
        os.kill(os.getpid(), signal.SIGKILL)
    return self.request.retries


@shared_task(base=Durable, name="option.once", max_retries=0)
def once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(base=Durable, name="option.rated", rate_limit="2/s")
def rated() -> None:
    pass


@shared_task(base=Durable, name="option.untrailed", trail=False)
def untrailed() -> None:
    pass


@shared_task(base=Durable, name="option.unheard", send_events=False)
def unheard() -> None:
    pass


@shared_task(base=Durable, name="option.long", resultrepr_maxsize=20)
def long() -> str:
    return "long " * 100


def noting(task: Any, app: Any, consumer: Any, **options: Any) -> Any:
    """A strategy of the task's own."""
    usual = strategy.default(task, app, consumer, **options)

    def handle(message: Any, *args: Any, **kwargs: Any) -> Any:
        note(f"strategy {message.headers['id']}")
        return usual(message, *args, **kwargs)

    return handle


@shared_task(base=Durable, name="option.strategic", Strategy="tests.stack.option_probes:noting")
def strategic() -> None:
    pass


# --- Time limits ----------------------------------------------------------------------------------------


@shared_task(base=Durable, name="option.limited", time_limit=1, autoretry_for=(Exception,))
def limited() -> None:
    time.sleep(60)


@shared_task(base=Durable, name="option.softly", soft_time_limit=1)
def softly() -> str:
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@shared_task(base=Durable, bind=True, name="option.shared", batch_size=50, time_limit=2, soft_time_limit=1)
def shared(self: Durable, kind: str) -> Any:
    """Several share a message; one of them is bad, once."""
    if self.request.retries:
        return "again"
    if kind == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    while kind in ("slow", "stuck"):
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            if kind == "slow":
                raise
    return kind


# --- Methods --------------------------------------------------------------------------------------------


@shared_task(base=Durable, bind=True, name="option.replaced")
def replaced(self: Durable, by: Any) -> Any:
    made = {"one": add.s(1, 2), "chain": add.s(1, 2) | add.s(3), "group": group(add.s(n, n) for n in range(3))}
    return self.replace(made[by])


@shared_task(base=Durable, name="option.look_up")
def look_up() -> None:
    pass


def until_seen(task: Durable) -> None:
    """Until the test makes this row."""
    deadline = time.monotonic() + 300
    while not Group.objects.filter(name=f"seen {task.request.id}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@shared_task(base=Durable, bind=True, name="option.seen")
def seen(self: Durable) -> None:
    until_seen(self)


@shared_task(base=Durable, bind=True, name="option.telling")
def telling(self: Durable) -> str:
    self.update_state(state="PROGRESS", meta={"done": 3})
    until_seen(self)
    self.send_event("task-told", told=3)
    return "told"


# --- One transaction ------------------------------------------------------------------------------------


class Dying(Durable):
    """Its first attempt is killed at the given moment: before the commit, or right after it."""

    abstract = True

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        if retval == "before" and not self.request.retries:
            os.kill(os.getpid(), signal.SIGKILL)


@shared_task(base=Dying, bind=True, name="option.transfer", atomic=True, soft_time_limit=5)
def transfer(self: Durable, name: str, moment: str = "") -> str:
    """Writes one row for each time that it is done; a second would be seen."""
    Group.objects.create(name=f"{name} {Group.objects.filter(name__startswith=name).count()}")
    if moment == "after":
        transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    if moment == "raise":
        raise Flaky("rolled back")
    if moment == "retry" and not self.request.retries:
        raise self.retry(countdown=0)
    return moment
