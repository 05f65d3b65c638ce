"""Sample tasks whose arguments say how to behave, and a record of what ran."""

from datetime import datetime
from typing import Any

from celery import shared_task
from django.db import connection

from jobs import ledger
from jobs.durable import Durable, Permanent, Snooze

RAN: list[tuple[str, Any]] = []


class Flaky(Exception):
    pass


@shared_task(base=Durable, name="probe.ok")
def ok(value: Any = None, *, note: str = "") -> Any:
    RAN.append(("ok", value))
    return value


@shared_task(base=Durable, name="probe.fail")
def fail(text: str = "no") -> None:
    RAN.append(("fail", text))
    raise Flaky(text)


@shared_task(
    base=Durable, name="probe.flaky", autoretry_for=(Flaky,), retry_backoff=30, retry_jitter=False, max_retries=2
)
def flaky(text: str = "not yet") -> None:
    RAN.append(("flaky", text))
    raise Flaky(text)


@shared_task(base=Durable, bind=True, name="probe.retry")
def again(self: Durable, value: int) -> int:
    """Retries once, with another argument."""
    RAN.append(("again", value))
    if value == 0:
        raise self.retry(args=(1,), countdown=60)
    return value


@shared_task(base=Durable, name="probe.snooze")
def snooze(when: str) -> None:

    RAN.append(("snooze", when))
    raise Snooze(datetime.fromisoformat(when))


@shared_task(base=Durable, name="probe.permanent", autoretry_for=(Exception,), dont_autoretry_for=(Flaky,))
def permanent() -> None:
    RAN.append(("permanent", None))
    raise Flaky("never again")


class Typed(Durable):
    """Its first version took the day as a second positional argument."""

    abstract = True

    def upcast(self, version: int, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        return args[:1], {"when": f"{args[1]}T00:00:00Z"}


@shared_task(base=Typed, name="probe.typed", version=2)
def typed(number: int, *, when: datetime) -> None:
    RAN.append(("typed", (number, when)))


@shared_task(base=Durable, name="probe.small", batch_size=50, autoretry_for=(Flaky,))
def small(number: int) -> int:
    RAN.append(("small", number))
    if number == 3:
        raise Flaky("not yet")
    if number == 4:
        raise ValueError(number)
    return 2 * number


@shared_task(base=Durable, name="probe.cut_off", batch_size=50)
def cut_off(number: int) -> None:
    """The second loses its database connection, as in a restart."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())" if number == 1 else "SELECT 1")


@shared_task(base=Durable, bind=True, name="probe.marked", batch_size=50)
def marked(self: Durable, number: int) -> None:
    headers: dict[str, Any] = self.request.headers  # type: ignore[assignment]  # never None in a worker
    RAN.append(("marked", dict(headers)))
    headers["seen"] = number


@shared_task(base=Durable, bind=True, name="probe.long", autoretry_for=(Flaky,))
def long(self: Durable, steps: int) -> list[int]:
    """Breaks down after three steps, once."""
    done = []
    for n in range(self.running.saved or 0, steps):
        if n == 3 and not self.request.retries:
            raise Flaky("broke down")
        self.running.log(f"step {n}")
        self.running.checkpoint(n + 1)
        self.running.progress(n + 1, steps)
        done.append(n)
    return done


@shared_task(base=Durable, bind=True, name="probe.obedient")
def obedient(self: Durable) -> None:
    ledger.cancel([self.running.job.pk], "while it runs")
    self.running.check_cancelled()
    raise AssertionError("it should have stopped")


@shared_task(base=Durable, name="probe.hopeless", autoretry_for=(Exception,))
def hopeless() -> None:
    raise Permanent("never")


@shared_task(base=Durable, name="probe.add")
def add(a: int, b: int) -> int:
    RAN.append(("add", (a, b)))
    return a + b


@shared_task(base=Durable, name="probe.total")
def total(values: list[int]) -> int:
    RAN.append(("total", values))
    return sum(values)


@shared_task(base=Durable, name="probe.told")
def told(failed: str, why: str = "") -> None:
    """An errback."""
    RAN.append(("told", failed))


@shared_task(name="probe.plain", ignore_result=True)
def plain(value: Any) -> Any:
    """A Celery task that is no job."""
    RAN.append(("plain", value))
    return value
