"""What /metrics tells of queues, messages and processes, read from the database when somebody asks.

Nobody counts anything in between, so any number of processes agree and a restart loses nothing. The promise: a fixed
number of statements that each look at a bounded number of rows; labels are queues of the settings, channels, states and
our own providers, never a tenant, an id or a receiver.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from jobs import stats
from jobs.bulk import database_now
from jobs.models import Job
from notifications import punctuality
from notifications.channels import breaker

SHOWN = (Job.State.SCHEDULED, Job.State.QUEUED, Job.State.RUNNING, Job.State.FAILED)
OTHER = "other"  # queues that no setting names any more: anybody could have called them anything
Families = Iterator[Gauge]


def written(accept: str) -> tuple[bytes, str]:
    """All of it, and its media type: the newest of Prometheus' formats that `accept`, the header, takes."""
    encode, kind = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(Ledger())
    return encode(registry), kind


class Ledger(Collector):
    """Eighteen statements, and one on PostgreSQL for its time."""

    def describe(self) -> Families:
        """Nothing: else a registry would collect once to learn the names."""
        return iter(())

    def collect(self) -> Families:
        now = database_now()
        yield from _jobs()
        yield from _queues(now)
        yield from _pulse()
        yield from _messages(timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0))
        yield from _breakers()


def _jobs() -> Families:
    found = Gauge("punctual_jobs", f"Jobs by state, counted up to {stats.MOST + 1}.", labels=["state"])
    for state, number in stats.counts(SHOWN).items():
        found.add_metric([state], number)
    yield found


QUEUES = {
    "due_jobs": "Jobs whose time has come and that are not sent yet, counted up to 10001.",
    "overdue_jobs": "Of those, the ones that have waited for longer than LATENESS_GOAL.",
    "queued_jobs": "Jobs whose message is at the broker.",
    "running_jobs": "Jobs that a worker holds.",
    "processes": "Processes of the workers that serve this queue.",
}


def _queues(now: datetime) -> Families:
    traffic, late = stats.traffic(now), stats.due(now - timedelta(seconds=settings.LATENESS_GOAL))
    counts: dict[str, Counter[str]] = {what: Counter() for what in QUEUES}
    ages: dict[str, float] = dict.fromkeys((*settings.JOBS_QUEUES, OTHER), 0.0)
    wanted: dict[str, int] = {}
    paused = dict.fromkeys((*settings.JOBS_QUEUES, OTHER), 0)
    for lane in traffic.lanes:
        name = lane.crew.queue if lane.crew.queue in paused else OTHER
        counts["due_jobs"][name] += lane.due.number
        counts["queued_jobs"][name] += lane.queued
        counts["running_jobs"][name] += lane.running
        counts["processes"][name] += lane.crew.actual
        counts["overdue_jobs"][name] += late[lane.crew.queue].number if lane.crew.queue in late else 0
        age = (now - lane.due.oldest).total_seconds() if lane.due.oldest else 0.0
        ages[name] = max(ages[name], age)
        paused[name] |= lane.pause is not None
        if lane.crew.desired is not None and name != OTHER:
            wanted[name] = lane.crew.desired
    for what, text in QUEUES.items():
        yield _by(f"punctual_queue_{what}", text, "queue", {name: counts[what][name] for name in paused})
    text = "For how long the job that waits the longest has been due; 0 where none is."
    yield _by("punctual_queue_oldest_due_age_seconds", text, "queue", {name: ages[name] for name in paused})
    text = "Processes that somebody wants for this queue; absent where nobody said."
    yield _by("punctual_queue_processes_desired", text, "queue", wanted)
    yield _by("punctual_queue_paused", "Whether this queue is paused.", "queue", paused)
    kinds = Counter({"task": 0, "tenant": 0}) + Counter(one.kind for one in traffic.pauses)
    text = "Tasks and tenants that are paused."
    yield _by("punctual_pauses", text, "kind", {kind: kinds[kind] for kind in ("task", "tenant")})
    here = [worker for worker in traffic.workers if worker.here]
    yield Gauge("punctual_workers", "Workers that are here.", value=len(here))
    yield Gauge("punctual_worker_processes", "Processes of all workers that are here.", value=traffic.processes)


def _pulse() -> Families:
    pulse = stats.pulse()
    for name, age, text in (
        ("beat", pulse.beat, "Since beat last sent a tick; absent where it never did."),
        ("clock", pulse.clock, "Since somebody last acted on a tick; absent where nobody ever did."),
    ):
        found = Gauge(f"punctual_{name}_age_seconds", text)
        if age is not None:
            found.add_metric([], age.total_seconds())
        yield found
    held = pulse.held_since is not None
    yield Gauge("punctual_dispatch_held", "Whether nothing goes out because a clock jumped.", value=held)


def _messages(midnight: datetime) -> Families:
    late = punctuality.lateness(midnight)
    text = "How late the messages of today went, by quantile, in the zone of TIME_ZONE; absent before the first."
    found = Gauge("punctual_lateness_today_seconds", text, labels=["quantile"])
    for quantile, value in (("0.5", late.p50), ("0.95", late.p95), ("0.99", late.p99)):
        if value is not None:
            found.add_metric([quantile], value.total_seconds())
    yield found
    text = f"Messages of today by what became of them; up to {punctuality.MOST} are counted of each kind."
    found = Gauge("punctual_deliveries_today", text, labels=["channel", "state"])
    for one in punctuality.ends(midnight, midnight + timedelta(days=1)):
        for state in ("sent", "skipped", "refused", "in_doubt"):
            found.add_metric([one.channel, state], getattr(one, state))
    yield found
    text = "Messages of which nobody knows whether they went, whenever they were due."
    yield Gauge("punctual_deliveries_in_doubt", text, value=punctuality.doubts())


def _breakers() -> Families:
    found = Gauge("punctual_breakers", "Providers by the state of their breaker.", labels=["provider", "state"])
    for (provider, state), number in sorted(breaker.states().items()):
        found.add_metric([provider, state], number)
    yield found


def _by(name: str, text: str, label: str, values: "dict[str, int] | dict[str, float]") -> Gauge:
    found = Gauge(name, text, labels=[label])
    for word, value in values.items():
        found.add_metric([word], value)
    return found
