"""What became of the rows of a file, and of the deliveries that were planned for them.

Filled by `upserts`, yielded by `imports`, printed by the commands. Numbers can be added up over a file of any size.
"""

from collections import Counter
from dataclasses import dataclass, field

from notifications.changes import Plan
from notifications.imports.rows import BadRow
from notifications.models import Delivery

# What can become of a row. "left": it is cancelled or over here, and the file does not say to reopen it.
KINDS = ("created", "moved", "changed", "cancelled", "reopened", "unchanged", "left")


@dataclass(frozen=True)
class Change:
    """What became of one row, for people."""

    line: int
    external_id: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.external_id} {self.kind}{self.what and ': '}{self.what}"


@dataclass
class Outcome:
    """What became of a chunk of rows, or of several that were added up."""

    rows: Counter[str] = field(default_factory=Counter)  # by kind, and "bad"
    customers: Counter[str] = field(default_factory=Counter)  # created, changed
    deliveries: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and reason
    changes: list[Change] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    def record(self, line: int, external_id: str, kind: str, what: str = "") -> None:
        self.rows[kind] += 1
        if kind != "unchanged":
            self.changes.append(Change(line, external_id, kind, what))

    def refuse(self, row: BadRow) -> None:
        self.rows["bad"] += 1
        self.bad.append(row)

    def add(self, other: "Outcome") -> None:
        """Adds up the numbers. The lists are the caller's to keep or to drop: those of a large file are large."""
        self.rows += other.rows
        self.customers += other.customers
        self.deliveries += other.deliveries


def tally(plan: Plan) -> Counter[tuple[str, str]]:
    """How many deliveries a plan changed, by kind and reason."""
    counts = Counter({("planned", ""): len(plan.added), ("moved", ""): len(plan.moved)})
    for kind, deliveries in (("withdrawn", plan.withdrawn), ("in flight", plan.in_flight), ("skipped", plan.skipped)):
        counts += Counter((kind, _why(delivery)) for delivery in deliveries)
    return +counts  # without the zeros


def _why(delivery: Delivery) -> str:
    return str(Delivery.Reason(delivery.reason).label) if delivery.reason else ""
