"""`@durable`: Celery's `shared_task` with the base Durable, whose calls a type checker knows.

    @durable(autoretry_for=(ConnectionError,), max_retries=5)
    def send_invoice(invoice: int) -> None: ...

    send_invoice.delay("seven")    # mypy: expected "int"

The task is the same as with `@shared_task(base=Durable, ...)`, which takes any arguments as far as checkers know.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from celery import shared_task

from jobs.durable import Durable
from jobs.results import JobResult

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:

    class Typed(Durable, Generic[P, R]):
        """A durable task with these parameters."""

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
        def delay(self, *args: P.args, **kwargs: P.kwargs) -> JobResult: ...
        def schedule(self, when: datetime | timedelta | str, *args: P.args, **kwargs: P.kwargs) -> JobResult: ...
else:
    Typed = Durable


@overload
def durable(function: Callable[P, R], /) -> "Typed[P, R]": ...
@overload
def durable(
    *, bind: Literal[True], base: type[Durable] = ..., **options: Any
) -> "Callable[[Callable[Concatenate[Any, P], R]], Typed[P, R]]": ...
@overload
def durable(
    *, bind: Literal[False] = ..., base: type[Durable] = ..., **options: Any
) -> "Callable[[Callable[P, R]], Typed[P, R]]": ...
def durable(function: Any = None, /, *, base: type[Durable] = Durable, **options: Any) -> Any:
    """The options are those of `shared_task`, and Durable's own. With `bind` the first parameter is the task."""
    made: Any = shared_task
    decorator = made(base=base, **options)
    return decorator if function is None else decorator(function)
