"""Tasks that fail, are tried again, and note which handlers and signals were called."""

from functools import partial
from typing import Any

from celery import shared_task, signals
from celery.exceptions import Ignore, Reject

from jobs.durable import Durable

# --- Trying again ---------------------------------------------------------------------------------------
from tests.stack.option_probes import Flaky, note


class Fatal(Flaky):
    pass


@shared_task(base=Durable, bind=True, name="option.again")
def again(self: Durable, said: dict[str, Any], tries: int = 1, throw: bool = True) -> Any:
    """Calls retry with what it is told to say, and tells how it looks after that."""
    if self.request.retries < tries:
        exc = Flaky("not yet") if said.pop("exc", False) else None
        self.retry(exc=exc, throw=throw, **said)
        return "went on"
    limits = list(self.request.timelimit or ())
    queue = (self.request.delivery_info or {}).get("routing_key")
    return {"retries": self.request.retries, "limits": limits, "queue": queue, "said": said}


@shared_task(base=Durable, bind=True, name="option.flaky", autoretry_for=(Flaky,), dont_autoretry_for=(Fatal,))
def flaky(self: Durable, times: int = 1, fatal: bool = False) -> int:
    if self.request.retries < times:
        raise (Fatal if fatal else Flaky)("not yet")
    return self.request.retries


RETRY: dict[str, Any] = {"autoretry_for": (Flaky,), "max_retries": 2}


@shared_task(base=Durable, name="option.steady", default_retry_delay=70, **RETRY)
def steady() -> None:
    raise Flaky


@shared_task(base=Durable, name="option.given", autoretry_for=(Flaky,), retry_kwargs={"max_retries": 1, "countdown": 0})
def given() -> None:
    raise Flaky


@shared_task(base=Durable, name="option.backing", retry_backoff=100, retry_backoff_max=150, retry_jitter=False, **RETRY)
def backing() -> None:
    raise Flaky


# So long that none of the pauses is over before the test has looked: they begin at no time at all.
@shared_task(base=Durable, name="option.jittery", retry_backoff=1_000_000, retry_backoff_max=5_000_000, **RETRY)
def jittery() -> None:
    raise Flaky


# --- Handlers and signals -------------------------------------------------------------------------------


class Hooked(Durable):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.running.log(f"before_start {task_id}")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.running.log(f"on_success {retval}")

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.running.log(f"on_failure {exc}")

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.running.log(f"on_retry {exc}")

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.running.log(f"after_return {status}")


@shared_task(base=Hooked, bind=True, name="option.hooked")
def hooked(self: Durable, how: str) -> str:
    if how == "fails":
        raise Flaky("broken")
    if how == "ignores":
        raise Ignore
    if how == "rejects":
        raise Reject("no", requeue=False)
    if how == "retries" and not self.request.retries:
        raise self.retry(countdown=0, exc=Flaky("not yet"))
    return how


def _log(name: str, sender: Any = None, **_: Any) -> None:
    if getattr(sender, "name", "") == "option.hooked":
        sender.running.log(name)


def _note(name: str, request: Any = None, **_: Any) -> None:
    note(f"{name} {getattr(request, 'id', '')}")


for _name in ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry"):
    getattr(signals, _name).connect(partial(_log, _name), weak=False)
for _name in ("task_received", "task_revoked"):
    getattr(signals, _name).connect(partial(_note, _name), weak=False)
