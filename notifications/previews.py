"""What a changed rule would do to the bookings and payments there are, before it is saved.

Used by the admin. The promise: it is decided by the code that plans, from the same rows, and nothing is written; the
same decisions have the same fingerprint. Of very many anchors it looks at a sample, and says so.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from notifications import planning, reconciler
from notifications.changes import CHUNK, Changes, Plan
from notifications.imports.outcomes import tally
from notifications.models import Delivery, ReminderRule
from notifications.overrides import Overrides

AT_MOST = 20_000  # bookings or payments looked at; people wait for the answer
SHOWN = 10  # examples
AT_ONCE, SOON = timedelta(minutes=1), timedelta(hours=1)
Counts = Counter[tuple[str, str]]


@dataclass
class Preview:
    """The consequences. Of a sample the numbers are those of the sample: `one_in` is how many each stands for."""

    now: datetime
    looked_at: int = 0
    one_in: int = 1
    counts: Counts = field(default_factory=Counter)
    at_once: int = 0  # of those that are added or moved
    within_the_hour: int = 0  # including these
    examples: list[str] = field(default_factory=list)
    fingerprint: str = ""

    @property
    def changes(self) -> int:
        return self.counts.total()

    @property
    def rows(self) -> list[tuple[str, str, int]]:
        """Kind, reason and number, the most frequent first."""
        return [(kind, reason, number) for (kind, reason), number in self.counts.most_common()]


def foresee(rule: ReminderRule, overrides: Overrides, now: datetime | None = None) -> Preview:
    """What would happen if `rule`, saved or not, and these overrides of it were the stored ones."""
    preview, seen = Preview(now or timezone.now()), sha256()
    for anchors in reconciler.concerned(rule, preview.now):
        total = anchors.count()
        step = -(-total // AT_MOST) or 1
        preview.one_in = max(preview.one_in, step)
        for chunk in _chunks(anchors.annotate(place=F("pk") % step).filter(place=0) if step > 1 else anchors):
            done, changes = Plan(), Changes(_no_job)
            planning.decide(chunk, changes, done, preview.now, rules=[rule], overrides=overrides)
            changes.foreseen(done)
            _add(preview, done)
            for line in _decisions(done):
                seen.update(line.encode())
            preview.looked_at += len(chunk)
    values = sorted((column.attname, str(getattr(rule, column.attname))) for column in rule._meta.concrete_fields)
    seen.update(repr(values).encode())
    preview.fingerprint = seen.hexdigest()
    return preview


def _no_job(delivery: Delivery) -> Any:
    raise LookupError(f"a preview makes no jobs, not for {delivery.pk} either")


def _chunks(anchors: QuerySet[Any]) -> Iterator[list[Any]]:
    last, ordered = 0, anchors.select_related("customer").order_by("pk")
    while chunk := list(ordered.filter(pk__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].pk


def _add(preview: Preview, done: Plan) -> None:
    preview.counts += tally(done)
    for delivery in [*done.added, *done.moved]:
        preview.at_once += delivery.send_at <= preview.now + AT_ONCE
        preview.within_the_hour += delivery.send_at <= preview.now + SOON
    for kind, deliveries in (("added", done.added), ("moved", done.moved), ("withdrawn", done.withdrawn)):
        for delivery in deliveries[: SHOWN - len(preview.examples)]:
            at = timezone.localtime(delivery.send_at)
            preview.examples.append(f"{kind}: {delivery.anchor}, {date_format(at, 'DATETIME_FORMAT')} {at:%Z}")


def _decisions(done: Plan) -> list[str]:
    """One line for each, without the ids that are made anew each time."""
    kinds = {"add": done.added, "move": done.moved, "withdraw": done.withdrawn, "skip": done.skipped}
    return sorted(
        f"{kind} {delivery.booking_id}/{delivery.payment_id} {delivery.revision}.{delivery.occurrence} "
        f"{delivery.channel} {delivery.send_at.isoformat()} {delivery.useful_until.isoformat()} {delivery.reason}\n"
        for kind, deliveries in kinds.items()
        for delivery in deliveries
    )
