"""A cron text as beat's five fields, where both mean the same.

Used by the API. Beat reads five fields of Celery's; cron has more words for them, and joins two of them otherwise. The
promise: what the two would read differently is refused, with what to write instead.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from celery.schedules import ParseException, crontab
from cronsim import CronSim, CronSimError

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")  # in the order of a cron text
WORDS = ("minute", "hour", "day of the month", "month", "day of the week")
MOST = 300  # letters


class Fields(NamedTuple):
    """As a CrontabSchedule has them, and what they mean, for people."""

    minute: str
    hour: str
    day_of_month: str
    month_of_year: str
    day_of_week: str
    explained: str


def read(text: str) -> Fields:
    """Raises ValueError."""
    parts = text.split()
    if len(parts) != len(FIELDS) or len(text) > MOST:
        raise ValueError('has not five fields. Write minute, hour, day, month and day of the week: "30 9 * * 1-5"')
    try:
        cron = CronSim(text, datetime.now(UTC))
    except (CronSimError, ValueError) as exc:
        raise ValueError(f"is no cron text: {exc}") from exc
    if not cron.day_and:
        raise ValueError(
            "names days of the month and of the week. Cron would run on either, and beat only where both fit: "
            "write two schedules, or * for one of the two"
        )
    theirs = (cron.minutes, cron.hours, cron.days, cron.months, {_weekday(day) for day in cron.weekdays})
    for word, field, part, meant in zip(WORDS, FIELDS, parts, theirs, strict=True):
        if _celerys(field, part) != meant:
            raise ValueError(f"has {part!r} for the {word}, which beat does not read as cron does. List what you mean")
    return Fields(parts[0], parts[1], parts[2], parts[3], parts[4], cron.explain())


def _weekday(day: object) -> object:
    """Sunday is 0 and 7. The third Friday is a pair, which beat has no word for."""
    return day % 7 if isinstance(day, int) else day


def _celerys(field: str, part: str) -> set[int] | None:
    """None: Celery cannot read it."""
    try:
        found: set[int] = getattr(crontab(**{field: part}), field)
    except (ParseException, ValueError):
        return None
    return found
