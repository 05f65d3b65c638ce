"""Sample tasks whose arguments say how to behave, and a record of what ran."""

from typing import Any

from celery import shared_task

from jobs.durable import Durable, Snooze

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
    from datetime import datetime

    RAN.append(("snooze", when))
    raise Snooze(datetime.fromisoformat(when))


@shared_task(base=Durable, name="probe.permanent", autoretry_for=(Exception,), dont_autoretry_for=(Flaky,))
def permanent() -> None:
    RAN.append(("permanent", None))
    raise Flaky("never again")
