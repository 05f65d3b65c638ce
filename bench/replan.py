"""Planning everything anew after a rule was changed: seconds, statements, memory.

`python -m bench.replan [--bookings 100000]`, on a throw-away SQLite database, or on PostgreSQL where DATABASE_URL names
a server. It is the code behind the admin's "Save and apply" and `manage.py schedule_reminders`.
"""

import argparse
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from bench.cost import cost, peak
from bench.database import throwaway

PEOPLE = 1_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bookings", type=int, default=100_000)
    number = options.parse_args().bookings
    with throwaway() as kind:
        from django.utils import timezone

        from notifications import previews, reconciler
        from notifications.models import ReminderRule
        from notifications.overrides import Overrides
        from notifications.simulation import RuleSet, simulate

        print(f"{number:,} bookings of {PEOPLE:,} customers with three reminders each, on {kind}")
        fill(number)
        upkeep()
        measured("first plan, all rules", lambda: consumed(reconciler.reconcile()))
        measured("again, nothing to change", lambda: consumed(reconciler.reconcile()))
        measured(
            "simulation, all days", lambda: sum(len(fates) for (fates,) in simulate(timezone.now(), [RuleSet.stored()]))
        )
        rule = ReminderRule.objects.get(name__startswith="1 hour")
        rule.offset = timedelta(hours=-2)
        measured("preview of the change", lambda: previews.foresee(rule, Overrides([]), timezone.now()).looked_at)
        rule.save()
        measured("rule changed: 1 h to 2 h", lambda: consumed(reconciler.reconcile(only=rule)))
        rule.active = False
        rule.save()
        measured("rule switched off", lambda: consumed(reconciler.reconcile(only=rule)))
        rule.active = True
        rule.save()
        measured("rule switched on again", lambda: consumed(reconciler.reconcile(only=rule)))


def fill(number: int) -> None:
    from django.utils import timezone

    from notifications import bookings
    from notifications.models import Booking, Customer

    people = [Customer(name=f"C{n}", email=f"c{n}@example.com", time_zone="Europe/Berlin") for n in range(PEOPLE)]
    people = Customer.objects.bulk_create(people)
    first = timezone.now() + timedelta(days=3)
    Booking.objects.bulk_create(
        (
            Booking(
                customer=people[n % PEOPLE],
                service="Haircut",
                **bookings.schedule(start, start + timedelta(hours=1), "Europe/Berlin"),
            )
            for n in range(number)
            for start in [first + timedelta(minutes=n)]
        ),
        batch_size=1_000,
    )


def consumed(plans: Iterable[Any]) -> int:
    return sum(done.changes for done in plans)


def measured(name: str, act: Callable[[], int]) -> None:
    changes, spent = cost(act)
    held = peak()
    upkeep()
    times = f"{spent.seconds:7.1f} s {spent.statements:8,} statements, at most {held:.0f} MB so far"
    print(f"{name:26} {changes:9,} {times}", flush=True)


def upkeep() -> None:
    """What autovacuum does meanwhile on a server that lives longer than a measurement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


if __name__ == "__main__":
    main()
