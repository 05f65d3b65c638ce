"""`manage.py verify` and `manage.py why` in a database with a million deliveries: seconds, and statements.

`python -m bench.verify [--deliveries 1000000] [--explain]`, on a throw-away SQLite database, or on PostgreSQL where
DATABASE_URL names a server. No promise is broken in the rows of `bench.filler`, and the measurement says so.
"""

import argparse
import time
from typing import Any

from bench.cost import cost
from bench.database import throwaway
from bench.filler import fill


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--deliveries", type=int, default=1_000_000)
    options.add_argument("--explain", action="store_true", help="show how the database goes about each question")
    chosen = options.parse_args()
    with throwaway() as kind:
        from notifications.models import Delivery
        from notifications.verify import with_room

        began = time.monotonic()
        fill(chosen.deliveries)
        took = time.monotonic() - began
        print(f"{Delivery.objects.count():,} deliveries on {kind}, made in {took:.0f} s", flush=True)
        with with_room():
            verified(chosen.explain)
        asked(chosen.deliveries)


def verified(explain: bool) -> None:
    from notifications.verify import CHECKS, counted

    began = time.perf_counter()
    together = counted()
    total = time.perf_counter() - began
    print(
        f"{'in one pass':24}{total * 1e3:10,.0f} ms{sum(together.values()):10,} broken of {len(together)}", flush=True
    )
    for check in CHECKS:
        if check.name in together:
            if together[check.name]:
                print(f"  {check.name}: {together[check.name]:,}")
            continue
        if explain:
            print(explained(check.broken()), flush=True)
        began = time.perf_counter()
        broken = check.broken().count()
        total += (seconds := time.perf_counter() - began)
        print(f"{check.name:24}{seconds * 1e3:10,.0f} ms{broken:10,} broken", flush=True)
    print(f"{'verify':24}{total * 1e3:10,.0f} ms", flush=True)


def explained(rows: Any) -> str:
    from django.db import connection

    text: str = rows.explain(**({"analyze": True, "buffers": True} if connection.vendor == "postgresql" else {}))
    return text


def asked(number: int) -> None:
    """`why` for a booking in the middle, as the command asks it."""
    from notifications.why import find, why

    answers, spent = cost(lambda: why(find(str(number // 7))))
    print(f"{'why':24}{spent.seconds * 1e3:10,.1f} ms{len(answers):10,} answers, {spent.statements} statements")


if __name__ == "__main__":
    main()
