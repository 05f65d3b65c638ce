"""`jobs.warm_cache`: figures that take long to get are got ahead of time, by one worker, and read from the cache.

The application registers the sources; `current` gives a source's value to whoever shows it. The promise: only what is
registered is called, however many ask at once one of them works, and a value is never older than its seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone
from pydantic import AfterValidator, Field

from jobs.durable import AWAY, Durable
from jobs.payload import storable

LIMIT = 300  # seconds that getting a value may take
MONTH = 30 * 86400


@dataclass(frozen=True)
class Figure:
    """`get` takes no arguments and returns what JSON can hold; `fits` says whether a value of the past still does."""

    name: str
    get: Callable[[], Any]
    ttl: int  # seconds, for whoever finds nothing
    fits: Callable[[Any], bool] = lambda value: True


@dataclass(frozen=True)
class Warm:
    value: Any
    at: datetime


_registered: dict[str, Figure] = {}


def register(*figures: Figure) -> None:
    _registered.update({figure.name: figure for figure in figures})


def known(name: str) -> str:
    """Raises ValueError for one that nobody registered."""
    if name not in _registered:
        raise ValueError(f"there is no source {name!r}; there are {', '.join(sorted(_registered)) or 'none'}")
    return name


def current(name: str) -> Warm:
    """From the cache; where it is cold, got now and kept for the next."""
    figure = _registered[known(name)]
    kept = cache.get(_key(name))
    if kept is not None and figure.fits(kept["value"]):
        return Warm(kept["value"], datetime.fromisoformat(kept["at"]))
    return _got(figure, figure.ttl)


@shared_task(
    base=Durable,
    bind=True,
    name="jobs.warm_cache",
    autoretry_for=AWAY,
    max_retries=3,
    retry_backoff=5,
    time_limit=LIMIT,
    soft_time_limit=LIMIT - 10,
)
def warm_cache(
    self: Durable, source: Annotated[str, AfterValidator(known)], ttl: Annotated[int, Field(ge=1, le=MONTH)]
) -> dict[str, Any]:
    """Get the source's value and keep it for `ttl` seconds. Does nothing while another job does it."""
    mine = str(self.running.job.pk)
    if not cache.add(_flight(source), mine, LIMIT) and cache.get(_flight(source)) != mine:
        return {"source": source, "warmed": False, "why": "another job is at it"}
    try:
        warm = _got(_registered[source], ttl)
    finally:
        cache.delete(_flight(source))
    return {"source": source, "warmed": True, "at": warm.at.isoformat(), "seconds": ttl}


def _got(figure: Figure, ttl: int) -> Warm:
    value = storable(figure.get(), "value")
    warm = Warm(value, timezone.now())
    cache.set(_key(figure.name), {"value": value, "at": warm.at.isoformat()}, ttl)
    return warm


def _key(name: str) -> str:
    return f"jobs.warm:{name}"


def _flight(name: str) -> str:
    return f"jobs.warming:{name}"
