"""Writing to, moving and cancelling many bookings at once: seconds, statements, memory.

`python -m bench.bulk [--bookings 50000] [--tell]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL
names a server. It is the code behind the admin's page; messages are planned, not sent. Beside the seconds on the clock
stand those of this process, which others on the machine do not make longer.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.cost import cost, peak
from bench.database import throwaway
from bench.replan import PEOPLE, consumed, fill, upkeep


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bookings", type=int, default=50_000)
    options.add_argument("--tell", action="store_true", help="with a message to those who are moved and cancelled")
    asked = options.parse_args()
    with throwaway() as database:
        from notifications import bulk, reconciler

        print(
            f"{asked.bookings:,} bookings of {PEOPLE:,} customers with three reminders each, on {database}", flush=True
        )
        fill(asked.bookings)
        measured("first plan of the reminders", lambda: consumed(reconciler.reconcile()))
        upkeep()
        text = "Dear {{ customer.name }}, {{ booking.service }} on {{ starts_short }} cannot be."
        words = bulk.Circular(subject="Closed", text=text, quiet_from=None, quiet_until=None)
        selection = bulk.Selection(service="Haircut")
        measured("message: preview", lambda: bulk.preview(selection, bulk.Kind.MESSAGE, message=words).bookings)
        for kind in (bulk.Kind.MESSAGE, bulk.Kind.MOVE, bulk.Kind.CANCEL):
            told = words if asked.tell or kind == bulk.Kind.MESSAGE else None
            days = 7 if kind == bulk.Kind.MOVE else 0
            change = bulk.start(kind, selection, reason="bench", actor="bench", days=days, message=told)
            measured(f"{kind.value}{' and tell' if asked.tell else ''}", _all_of(bulk, change.pk))
            if kind == bulk.Kind.MESSAGE:
                bulk.call_off(change, actor="bench")
                measured("message: called off", partial(_withdrawn, bulk, change.pk))
            upkeep()


def _all_of(bulk: Any, pk: int) -> Callable[[], int]:
    def work() -> int:
        while True:
            change, more = bulk._chunk(pk)
            if not more:
                return int(change.done)

    return work


def _withdrawn(bulk: Any, pk: int) -> int:
    return int(bulk.withdraw(pk)["withdrawn"])


def measured(name: str, act: Callable[[], int]) -> None:
    changes, spent = cost(act)
    times = f"{spent.seconds:7.1f} s, own {spent.own:6.1f} s"
    print(f"{name:28} {changes:9,} {times} {spent.statements:7,} statements, at most {peak():.0f} MB", flush=True)


if __name__ == "__main__":
    main()
