"""Token buckets: the arithmetic, and the words for a rate. No tables and no clock; `now` is an argument.

Used by `limits` and `rates`, which keep buckets, and by the column in which a rate is written. Whole tokens and whole
microseconds. The promise: within any time span no more tokens are drawn than the rate allows in it and a burst.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

MICROSECOND = timedelta(microseconds=1)
UNITS = {"s": 1, "m": 60, "h": 3600}
FINEST = 10_000  # units in which one job goes, at least
MOST = 1_000_000  # a second


@dataclass(frozen=True)
class Rate:
    """`count` tokens in each `period`; at most `burst` gather."""

    count: int
    period: timedelta
    burst: int


@dataclass(frozen=True)
class Bucket:
    """`tokens` were there at `at`. A new bucket (at: None) is full."""

    tokens: int
    at: datetime | None


def refilled(bucket: Bucket, rate: Rate, now: datetime) -> Bucket:
    """The bucket at `now`. Time that did not yet make a whole token is kept; a clock set back makes none."""
    if bucket.at is None:
        return Bucket(rate.burst, now)
    if now < bucket.at:
        return Bucket(min(bucket.tokens, rate.burst), now)
    period = rate.period // MICROSECOND
    made = (now - bucket.at) // MICROSECOND * rate.count // period
    if bucket.tokens + made >= rate.burst:
        return Bucket(rate.burst, now)
    spent = -(-made * period // rate.count)  # rounded up: a token is never made from the same time twice
    return Bucket(bucket.tokens + made, bucket.at + spent * MICROSECOND)


def parsed(text: Any) -> Rate | None:
    """Celery's words for a rate: "10/m", "0.5/s", a number of jobs a second. None and 0 are no limit."""
    amount, _, unit = str(text or 0).partition("/")
    try:
        if len(amount.lower().partition("e")[2]) > len("-99"):
            raise ValueError(amount)  # "1e9999999" is a fraction too, of which one thinks for a quarter of a minute
        each = Fraction(amount).limit_denominator(FINEST)
        period = timedelta(seconds=UNITS[unit or "s"]) * each.denominator
    except (ValueError, KeyError, ZeroDivisionError):
        raise ValueError(f"rate_limit={text!r} is no rate. Write for example 10/s, 100/m or 5/h.") from None
    if each < 0:
        raise ValueError(f"rate_limit={text!r} is less than none")
    burst = max(1, int(each / UNITS[unit or "s"]))
    if burst > MOST or (not each and Fraction(amount)):  # the bucket could not be kept, or it would be no limit at all
        raise ValueError(
            f"rate_limit={text!r} is no rate between one job in {FINEST} units of time and {MOST} a second."
        )
    return Rate(each.numerator, period, burst) if each else None
