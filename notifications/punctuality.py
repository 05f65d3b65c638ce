"""How punctual messages are, and what became of those of a day, by channel.

Used by the dashboard, for all tenants or some. Each statement goes by an index of its own and looks at a bounded number
of rows. Lateness is from the time that a message was due to the moment its provider took it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from notifications.models import Channel, Delivery

LATEST = 20_000  # sent messages whose lateness is looked at: exact for so many a day, else of the latest
MOST = 100_000  # that are counted, of each kind
DOUBTS = 10_000

LATE = {
    "postgresql": "EXTRACT(EPOCH FROM sent_at - send_at)",
    "sqlite": "ROUND((julianday(sent_at) - julianday(send_at)) * 86400.0, 3)",
}
# The smallest lateness that so many of a hundred messages do not exceed, on either database alike.
RANKS = """
SELECT MAX(number), {places}, MAX(late) FROM (
    SELECT late, ROW_NUMBER() OVER (ORDER BY late) AS place, COUNT(*) OVER () AS number FROM (
        SELECT {late} AS late FROM notifications_delivery
        WHERE sent_at IS NOT NULL AND sent_at >= %s{until}{whose} ORDER BY sent_at DESC LIMIT %s
    ) latest
) ranked
"""
PLACE = "MIN(CASE WHEN place * 100 >= number * {} THEN late END)"
PERCENTS = (50, 95, 99)
SENT = """
SELECT channel, COUNT(*) FROM (
    SELECT channel FROM notifications_delivery
    WHERE sent_at IS NOT NULL AND sent_at >= %s{whose} ORDER BY sent_at DESC LIMIT %s
) latest GROUP BY channel
"""
# The states as the index has them: SQLite plans before it sees parameters.
UNSENT = """
SELECT channel, state, COUNT(*) FROM (
    SELECT channel, state FROM notifications_delivery
    WHERE state IN ('skipped', 'refused', 'in_doubt') AND send_at >= %s AND send_at < %s{whose} LIMIT %s
) few GROUP BY channel, state
"""


@dataclass(frozen=True)
class Lateness:
    """Of the messages sent since a moment; without any, the times are None."""

    number: int
    p50: timedelta | None
    p95: timedelta | None
    p99: timedelta | None
    worst: timedelta | None
    sample: bool  # only the latest were looked at


@dataclass
class Ends:
    """What became of the messages of one channel: `sent` since a moment, and of those due since, what did not go."""

    channel: str
    sent: int = 0
    skipped: int = 0
    refused: int = 0
    in_doubt: int = 0


Tenants = Collection[str] | None  # None: all


def _whose(tenants: Tenants) -> tuple[str, list[str]]:
    """More of a condition, and its values. The indexes of tenants hold no rows of none."""
    if tenants is None:
        return "", []
    named = sorted(tenants)
    among = f" AND tenant IN ({', '.join(['%s'] * len(named))})" if named else " AND 1 = 0"
    return among + ("" if "" in named else " AND tenant > ''"), named


def lateness(
    since: datetime, tenants: Tenants = None, *, until: datetime | None = None, latest: int | None = None
) -> Lateness:
    """Of those sent from `since` on, and before `until`: of all, or of the `latest` so many (usually `LATEST`)."""
    latest = LATEST if latest is None else latest
    late, places = LATE[connection.vendor], ", ".join(PLACE.format(percent) for percent in PERCENTS)
    whose, named = _whose(tenants)
    with connection.cursor() as cursor:
        bounds = [connection.ops.adapt_datetimefield_value(one) for one in (since, until) if one]
        before = " AND sent_at < %s" if until else ""
        sql = RANKS.format(late=late, places=places, until=before, whose=whose)
        cursor.execute(sql, [*bounds, *named, latest])
        number, *seconds = cursor.fetchone()
    p50, p95, p99, worst = (None if one is None else timedelta(seconds=float(one)) for one in seconds)
    return Lateness(number or 0, p50, p95, p99, worst, sample=number == latest)


def ends(since: datetime, until: datetime, tenants: Tenants = None) -> list[Ends]:
    """By channel, all of them. Two statements, which count `MOST` at most: of those sent, the latest."""
    found = {channel: Ends(channel) for channel in Channel.values}
    whose, named = _whose(tenants)
    begins, over = (connection.ops.adapt_datetimefield_value(moment) for moment in (since, until))
    with connection.cursor() as cursor:
        cursor.execute(SENT.format(whose=whose), [begins, *named, MOST])
        rows = [(channel, "sent", number) for channel, number in cursor.fetchall()]
        cursor.execute(UNSENT.format(whose=whose), [begins, over, *named, MOST])
        rows += cursor.fetchall()
    for channel, what, number in rows:
        setattr(found.setdefault(channel, Ends(channel)), what, number)
    return list(found.values())


def doubts(tenants: Tenants = None) -> int:
    """Messages of which nobody knows whether they went, whenever they were due."""
    rows = Delivery.objects.filter(state=Delivery.State.IN_DOUBT)
    theirs = rows if tenants is None else rows.filter(tenant__in=tenants)
    return theirs.order_by()[: DOUBTS + 1].count()
