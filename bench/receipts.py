"""What `bench.races` was told, against what the mail server has in its own log."""

from collections import Counter, defaultdict
from pathlib import Path

from bench.aims import Race


def judge(races: list[Race], log: Path, seconds: float) -> list[str]:
    """Prints what was promised and what became of it. Returns what is wrong."""
    from django.db import connection

    from notifications.models import Delivery

    taken: dict[str, list[float]] = defaultdict(list)
    for line in log.read_text().splitlines():
        pk, moment = line.split()
        taken[pk].append(float(moment))
    rows = {str(row.pk): row for row in Delivery.objects.exclude(reason="lead_time_past")}
    told: Counter[tuple[str, str, str]] = Counter()
    broken: Counter[str] = Counter()
    for race in races:
        said = _said(race)
        for pk, kind in said:
            state, times = rows[pk].state, taken[pk]
            told[race.what, kind, f"{state}, mails {len(times)}"] += 1
            broken[f"sent after a receipt of a {race.what}"] += kind == "withdrawn" and bool(times)
            broken["called sent, and not in the log by then"] += kind == "already sent" and (
                len(times) != 1 or times[0] > race.told_at
            )
            broken["in flight, and its end is not what the log says"] += kind == "in flight" and (
                (state == "sent") != (len(times) == 1) or state not in ("sent", "in_doubt", "skipped", "refused")
            )
        broken["a receipt that does not say what became of the reminder"] += str(race.delivery) not in dict(said)
    sent = {pk for pk, row in rows.items() if row.state == "sent"}
    maybe = {pk for pk, row in rows.items() if row.state == "in_doubt"}
    mails = {pk for pk, times in taken.items() if times}
    broken["twice"] = sum(len(times) - 1 for times in taken.values() if times)
    broken["sent by our books only"] = len(sent - mails)
    broken["taken, and not in our books"] = len(mails - sent - maybe)
    lost = [row for row in rows.values() if row.state == "skipped" and row.reason not in ("cancelled", "rescheduled")]
    broken["not sent though somebody wanted it"] = len(lost)

    print(f"{len(races):,} races in {seconds:.0f} s on {connection.vendor}; the mail server took {len(mails):,} mails")
    _table(races, told)
    print("broken:", {name: count for name, count in broken.items() if count} or "nothing", "of", ", ".join(broken))
    return [f"{name}: {count}" for name, count in broken.items() if count]


def _said(race: Race) -> list[tuple[str, str]]:
    """(delivery, what the receipt says about it)."""
    kinds = {
        "withdrawn": race.receipt.cancelled,
        "in flight": race.receipt.in_flight,
        "already sent": race.receipt.already_sent,
        "in doubt": race.receipt.in_doubt,
    }
    return [(str(delivery.pk), kind) for kind, some in kinds.items() for delivery in some]


def _table(races: list[Race], told: Counter[tuple[str, str, str]]) -> None:
    print(f"\n{'change':8} {'receipt':14} {'outcome':24} {'races':>7}")
    for (what, kind, outcome), count in sorted(told.items()):
        print(f"{what:8} {kind:14} {outcome:24} {count:7,}")
    print(f"\n{'seen':12} {'races':>7}   receipts")
    for stage in sorted({race.stage for race in races}):
        there = [race for race in races if race.stage == stage]
        kinds = Counter(dict(_said(race)).get(str(race.delivery), "-") for race in there)
        print(f"{stage:12} {len(there):7,}   {dict(kinds.most_common())}")
    for what in ("cancel", "move"):
        times = sorted(race.seconds * 1000 for race in races if race.what == what)
        if times:
            half, most = times[len(times) // 2], times[int(len(times) * 0.99)]
            print(f"{what}: {len(times):,} receipts, p50 {half:.1f} ms, p99 {most:.1f} ms, longest {times[-1]:.0f} ms")
    print()
