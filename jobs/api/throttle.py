"""How often a key, and an address, may call: counted over all processes where the broker is a Redis.

Called by `door`. The promise: a broker that is down or slow costs no request anything. Each process counts for itself
meanwhile, and looks again after a while.
"""

import logging
import math
import threading
import time

from django.conf import settings
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter as Limiter

from jobs.api.problems import Problem

logger = logging.getLogger(__name__)

LOOK_AGAIN = 15.0  # seconds
PATIENCE = 0.2  # seconds that a request gives the broker, before it is counted here


class Counter:
    """Counts hits in the shared storage, or in this process while that one does not answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.own = Limiter(MemoryStorage())
        self.shared: Limiter | None = None
        self.making = threading.Lock()
        self.away_until = -math.inf

    def hit(self, limit: RateLimitItem, *who: str) -> float:
        """0 for a call that may go on, else the seconds until the next one may."""
        if self.url and time.monotonic() >= self.away_until:
            try:
                return self._hit(self._together(), limit, who)
            except Exception as exc:  # whatever a client of a store may raise: counting is no reason to refuse
                logger.warning("Calls are counted by each process for itself: %s", type(exc).__name__)
                self.away_until, self.shared = time.monotonic() + LOOK_AGAIN, None
        return self._hit(self.own, limit, who)

    def _hit(self, limiter: Limiter, limit: RateLimitItem, who: tuple[str, ...]) -> float:
        if limiter.hit(limit, *who):
            return 0.0
        return max(limiter.get_window_stats(limit, *who).reset_time - time.time(), 0.001)

    def _together(self) -> Limiter:
        """Made once: two threads that import the store's client at the same time find half of it."""
        with self.making:
            self.shared = self.shared or Limiter(_storage(self.url))
            return self.shared


def _storage(url: str) -> Storage:
    made = storage_from_string(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE, key_prefix="punctual:api")
    assert isinstance(made, Storage)  # noqa: S101  (not the asynchronous one, which has a scheme of its own)
    return made


def _url() -> str:
    broker = str(settings.CELERY_BROKER_URL)
    return broker if broker.startswith(("redis:", "rediss:")) else ""


counter = Counter(_url())


def check(kind: str, who: str, per_minute: int) -> None:
    """Raises Problem 429 with Retry-After. A limit of 0 is none."""
    if not per_minute:
        return
    wait = counter.hit(parse(f"{per_minute}/minute"), kind, who)
    if wait:
        seconds = math.ceil(wait)
        headers = {"Retry-After": str(seconds)}
        raise Problem(429, f"More than {per_minute} requests a minute. Try again in {seconds} s.", headers=headers)
