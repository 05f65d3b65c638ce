"""Leaves a provider alone that does not work: one row per provider, for all workers.

`ready` is asked before an intent is written, `watching` surrounds the request. After `BREAKER_FAILURES` failures in a
row the breaker opens; after `BREAKER_SECONDS` one message goes as a probe, and its outcome closes or opens it again.

Own guarded UPDATEs instead of a library's storage: pybreaker writes state, counter and time as separate statements and
lets every process that sees the time over into "half-open", so each of them would send a probe.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from secrets import randbelow
from threading import local

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Case, Count, F, Value, When
from django.db.models.functions import Now

from notifications.channels.base import Busy, Down, Refused, Throttled, Unknown
from notifications.models import Breaker

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"
KEEP = timedelta(days=30)  # the row of a receiver that has neither failed nor come back since
CHUNK = 1000  # rows that one DELETE takes
HOOK = "webhook"  # how the names of receivers begin, see `webhook.provider`
logger = logging.getLogger(__name__)
_seen = local()  # .clean: the providers without a failure when last asked, so that a success writes nothing


def ready(provider: str) -> None:
    """Raises Throttled while the breaker is open; afterwards lets one caller through, who is the probe.

    A probe that never tells its outcome (no intent followed, its worker died) is followed by another one after the
    same time. When two ask at once, the guarded UPDATE lets one of them win.
    """
    if not provider:
        return
    row = Breaker.objects.filter(provider=provider).annotate(now=Now()).first()
    _clean().discard(provider)
    if row is None or (row.state == CLOSED and not row.failures):
        _clean().add(provider)
        return
    if row.state == CLOSED:
        return
    since: datetime = row.opened_at or row.now
    wait = since + timedelta(seconds=settings.BREAKER_SECONDS) - row.now
    if wait <= timedelta():
        mine = Breaker.objects.filter(provider=provider, state=row.state, opened_at=row.opened_at)
        if mine.update(state=HALF_OPEN, opened_at=Now(), changed_at=Now()):
            return
        wait = timedelta(seconds=settings.BREAKER_SECONDS)
    # Spread out: whoever waits must not come back in the same second.
    spread = timedelta(milliseconds=randbelow(max(1, int(settings.BREAKER_SECONDS * 200))))
    raise Throttled("the provider is being left alone after failures", max(wait, timedelta(seconds=1)) + spread)


@contextmanager
def watching(provider: str) -> Iterator[None]:
    """Surrounds one request: Down and Unknown are failures, a refusal is an answer, anything else says nothing."""
    if not provider:
        yield
        return
    try:
        yield
    except (Down, Unknown):
        _record(_failed, provider)
        raise
    except Refused:
        _record(_worked, provider)
        raise
    except Busy:
        raise
    _record(_worked, provider)


def _record(verb: Callable[[str], None], provider: str) -> None:
    """What the provider said of the message counts for more than the breaker: it must get out of here."""
    try:
        verb(provider)
    except DatabaseError:
        logger.warning("the breaker of %s could not be written", provider)


def _failed(provider: str) -> None:
    _clean().discard(provider)
    count = F("failures") + 1
    opens = {"opened_at": Now(), "changed_at": Now(), "failures": count}
    watched = Breaker.objects.filter(provider=provider)
    if watched.filter(state=HALF_OPEN).update(state=OPEN, **opens):
        return
    counted = {
        "failures": count,
        "successes": 0,
        "changed_at": Now(),
        "state": Case(When(failures__gte=settings.BREAKER_FAILURES - 1, then=Value(OPEN)), default=Value(CLOSED)),
        "opened_at": Case(When(failures__gte=settings.BREAKER_FAILURES - 1, then=Now()), default=F("opened_at")),
    }
    if watched.filter(state=CLOSED).update(**counted):
        return
    Breaker.objects.bulk_create([Breaker(provider=provider)], ignore_conflicts=True)
    watched.filter(state=CLOSED).update(**counted)


def _worked(provider: str) -> None:
    """An open breaker stays open: the answer may belong to a request from before."""
    if provider in _clean():
        return
    rows = Breaker.objects.filter(provider=provider, state__in=[CLOSED, HALF_OPEN])
    rows.update(state=CLOSED, failures=0, successes=F("successes") + 1, changed_at=Now())


def states() -> Counter[tuple[str, str]]:
    """How many there are by provider and state. Receivers of webhooks, who are customers, count as one provider.

    One statement, whose answer does not grow with the number of receivers.
    """
    hook = When(provider__startswith=f"{HOOK} ", then=Value(HOOK))
    rows = Breaker.objects.values_list(Case(hook, default=F("provider")), "state").annotate(Count("pk"))
    return Counter({(provider, state): number for provider, state, number in rows.order_by()})


def _clean() -> set[str]:
    if not hasattr(_seen, "clean"):
        _seen.clean = set()
    clean: set[str] = _seen.clean
    return clean


def close(providers: Iterable[str]) -> int:
    """A person knows that they work again. Returns how many were not closed."""
    rows = Breaker.objects.filter(provider__in=list(providers)).exclude(state=CLOSED)
    return rows.update(state=CLOSED, failures=0, changed_at=Now())


def prune() -> int:
    """Delete the closed rows of receivers about which nothing was written for long: without a row they are as closed.
    Returns how many. Each DELETE asks again, so that one that fails or opens meanwhile stays.
    """
    of_receivers = Breaker.objects.filter(provider__startswith=f"{HOOK} ")
    old = of_receivers.filter(state=CLOSED, changed_at__lt=Now() - KEEP).order_by()
    gone = 0
    while chunk := list(old.values_list("pk", flat=True)[:CHUNK]):
        gone += old.filter(pk__in=chunk).delete()[0]
        if len(chunk) < CHUNK:
            break
    return gone
