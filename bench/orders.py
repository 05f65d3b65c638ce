"""Cancelling many jobs by a filter in one order: seconds and statements; and a page of the list among them.

`python -m bench.orders [--jobs 50000] [--others 0]`, on a throw-away SQLite database, or on PostgreSQL where
DATABASE_URL names a server. It is the code behind the admin's page, without the broker. `--others` are beside them.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.cost import cost
from bench.database import throwaway


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=50_000)
    options.add_argument("--others", type=int, default=0)
    asked = options.parse_args()
    with throwaway() as database:
        from bench.rows import analyze, copies
        from jobs import bulk_orders, errors, listing
        from jobs.listing import Selection
        from jobs.models import Job, JobEvent, Order
        from jobs.scopes import ALL

        def page(selection: Selection) -> int:
            return len(listing.page(selection, Job.objects.all(), 50).jobs)

        print(f"{asked.jobs:,} jobs to cancel among {asked.others:,} others, on {database}", flush=True)
        usual = {"task": "probe.ok", "queue": "messages"}
        if asked.others:
            copies(Job(**usual, state="succeeded"), asked.others // 2, seconds="-i")
            copies(Job(**usual), asked.others - asked.others // 2, seconds="86400 + i")
        copies(Job(**usual, correlation_id="event:9"), asked.jobs, seconds="86400 + i")
        analyze()
        chosen = Selection(tag="event:9")
        for name, selection in (("all", Selection()), ("a tag", chosen), ("a task", Selection(task="probe.ok"))):
            measured(f"list: {name}", partial(page, selection))
        seen = bulk_orders.preview("cancel", chosen, ALL)
        measured("preview", lambda: bulk_orders.preview("cancel", chosen, ALL).total)
        order = bulk_orders.start(bulk_orders.Wish("cancel", chosen, ALL, "bench", "bench"), seen)
        measured("cancel", lambda: carried_out(bulk_orders, order))
        cancelled = Job.objects.filter(state="cancelled").count()
        events, done = JobEvent.objects.filter(order=order).count(), Order.objects.get(pk=order.pk).done
        print(f"cancelled {cancelled:,}, told of {events:,}, receipt says {done:,}", flush=True)
        measured("errors by kind", lambda: len(errors.groups(Job.objects.all()).found))


def carried_out(bulk_orders: Any, order: Any) -> int:
    while order.open:
        order = bulk_orders.chunk(order.pk)
    return int(order.done)


def measured(name: str, act: Callable[[], int]) -> None:
    found, spent = cost(act)
    times = f"{spent.seconds:8.3f} s, own {spent.own:7.3f} s"
    print(f"{name:16} {found:9,} {times} {spent.statements:6,} statements", flush=True)


if __name__ == "__main__":
    main()
