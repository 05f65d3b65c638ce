"""The real verbs on the real database, in any order: Hypothesis chooses who does what, on which stale knowledge.

Workers, rescuers, dispatchers and people act on what they read at some earlier time; the machine owns the clock and the
broker. After each step the rows are compared with what the verb's guard promises, and in the end everything has to
come to rest. HYPOTHESIS_PROFILE=nightly searches at random and for long; otherwise the same examples come every time.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings, stateful, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from jobs import holding, leases, ledger, pruner, rescuer
from jobs.models import Attempt, Job
from jobs.transitions import TRANSITIONS
from tests.factories import DAY, HOUR, MINUTE

pytestmark = pytest.mark.django_db

S = Job.State
MOST_JOBS = 3
OVER = leases.LEASE + timedelta(seconds=1)
WORKERS = st.sampled_from(["one:1", "two:2"])
LATER = st.sampled_from([timedelta(0), timedelta(0), 2 * MINUTE])  # longer than a job may be useful
FINISHED = {S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED}
KNOWN = ["probe.ok"]
SEARCH = os.environ.get("HYPOTHESIS_PROFILE", "")  # nightly; mutants, where it is enough that it fails
NIGHTLY = SEARCH == "nightly"
PROFILE = settings(
    max_examples=10_000 if NIGHTLY else 100,
    stateful_step_count=50 if NIGHTLY else 30,
    derandomize=not NIGHTLY,
    database=None,
    deadline=None,
    phases=[Phase.generate] if SEARCH == "mutants" else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def errored() -> Attempt:
    return Attempt(outcome=Attempt.Outcome.ERRORED, error="no")


class LedgerMachine(RuleBasedStateMachine):
    """Every example is a transaction that is rolled back."""

    ids = Bundle("ids")  # of jobs
    held = Bundle("held")  # a job as a worker claimed it; the worker may be slow, dead, or finish twice
    seen = Bundle("seen")  # a job as a rescuer read it

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.messages: list[Any] = []
        self.rows: dict[Any, Job] = {}  # as they were before this step
        self.verbs: set[str] = set()  # that this step may have applied
        self.claims: set[tuple[Any, int]] = set()
        self.ends: set[tuple[Any, int]] = set()
        self.confirmed: set[Any] = set()  # told "cancelled", and not retried since
        self.failures: dict[Any, int] = {}
        self.spent: dict[tuple[str, str], Any] = {}  # unique keys of deleted jobs and their tenants

    def having(self, keep: Callable[[Job], bool]) -> set[Any]:
        return {pk for pk, job in self.rows.items() if keep(job)}

    def running(self) -> set[Any]:
        return self.having(lambda job: job.state == S.RUNNING)

    def useful(self, job: Job) -> bool:
        return job.useful_until is None or job.useful_until > self.now

    # --- Bringing work in, and to a worker ---

    @stateful.initialize(target=ids, many=st.integers(1, 2))
    def some_work_is_there(self, many: int) -> Any:
        until = [self.now + MINUTE, None]
        made = [
            Job(task=KNOWN[0], queue="default", run_at=self.now, max_attempts=3, useful_until=until[n])
            for n in range(many)
        ]
        return multiple(*[ledger.enqueue(job).pk for job in made])

    @precondition(lambda self: len(self.rows) < MOST_JOBS)
    @rule(
        target=ids,
        due=st.sampled_from([-HOUR, timedelta(0), MINUTE]),
        useful=st.sampled_from([None, None, MINUTE]),
        key=st.sampled_from([None, None, "welcome-7"]),
        tenant=st.sampled_from(["", "", "venue 7"]),
        limit=st.sampled_from([None, 1, 2]),
        task=st.sampled_from([*KNOWN, *KNOWN, *KNOWN, "probe.gone"]),
    )
    def enqueue(
        self,
        due: timedelta,
        useful: timedelta | None,
        key: str | None,
        tenant: str,
        limit: int | None,
        task: str,
    ) -> Any:
        until = None if useful is None else self.now + useful
        fields: dict[str, Any] = {"unique_key": key, "tenant": tenant, "max_attempts": limit, "useful_until": until}
        earlier = self.having(lambda job: key is not None and (job.unique_key, job.tenant) == (key, tenant))
        earlier |= {self.spent[key, tenant]} if key and (key, tenant) in self.spent else set()
        job = ledger.enqueue(Job(task=task, queue="default", run_at=self.now + due, **fields))
        assert not earlier or {job.pk} == earlier
        return multiple() if job.pk in self.spent.values() else job.pk

    @rule(room=st.integers(1, 3), later=LATER)
    def tick(self, room: int, later: timedelta) -> None:
        self.now += later
        self.dispatch(room)

    def dispatch(self, room: int) -> set[Any]:
        waiting = self.having(lambda job: job.state == S.SCHEDULED and job.task in KNOWN)
        due = {pk for pk in waiting if self.rows[pk].run_at <= self.now and self.useful(self.rows[pk])}
        sent = {job.pk for job in ledger.dispatch("default", KNOWN, room, now=self.now)}
        assert sent <= due and len(sent) == min(room, len(due))
        for job in Job.objects.filter(pk__in=sent):
            believed = leases.LEASE * 2 ** min(self.rows[job.pk].nudges, leases.LONGEST_NUDGE_LEASE)
            assert job.lease_until == self.now + believed, "a message in vain is believed twice as long the next time"
        self.messages += sorted(sent)  # a set has another order every time
        self.verbs = {"dispatch"}
        return sent

    @precondition(lambda self: self.messages)
    @rule(target=held, data=st.data(), again=st.booleans(), worker=WORKERS, later=LATER)
    def a_message_arrives(self, data: st.DataObject, again: bool, worker: str, later: timedelta) -> Any:
        """Any message reaches a worker, in any order, late, and maybe once more later."""
        pk = data.draw(st.sampled_from(self.messages))
        self.now += later
        if not again:
            self.messages.remove(pk)
        return self.claim([pk], worker)

    @precondition(lambda self: self.messages)
    @rule(target=held, worker=WORKERS)
    def a_shared_message_arrives(self, worker: str) -> Any:
        return self.claim(list(dict.fromkeys(self.messages)), worker)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def a_message_is_lost(self, data: st.DataObject) -> None:
        self.messages.remove(data.draw(st.sampled_from(self.messages)))

    @rule(target=held, again=st.booleans(), worker=WORKERS)
    def a_worker_takes_what_is_next(self, again: bool, worker: str) -> Any:
        """From the dispatcher to the worker at once; a copy of the message may come later."""
        sent = self.dispatch(1)
        self.each_history_is_a_path_of_the_table()
        self.messages = [pk for pk in self.messages if again or pk not in sent]
        return self.claim([sent.pop()], worker) if sent else multiple()

    def claim(self, ids: list[Any], worker: str) -> Any:
        jobs = ledger.claim_many(ids, worker, now=self.now)
        self.verbs = {"claim"}
        takeable = self.having(lambda job: job.pk in ids and job.state == S.QUEUED and self.useful(job))
        assert {job.pk for job in jobs} == takeable
        for job in jobs:
            assert job.pk not in self.confirmed, "claimed after its cancel was confirmed"
            assert job.token > max((token for other, token in self.claims if other == job.pk), default=0)
            self.claims.add((job.pk, job.token))
            row = Job.objects.get(pk=job.pk)
            assert (row.lease_until, row.nudges) == (self.now + leases.LEASE, 0)
        return multiple(*jobs)

    @rule()
    def flush_the_broker(self) -> None:
        self.messages.clear()
        assert ledger.release(Job.objects.all()) == len(self.having(lambda job: job.state == S.QUEUED))
        self.verbs = {"release"}

    @rule(beyond=st.sampled_from([timedelta(seconds=5), leases.LEASE, MINUTE, HOUR, -MINUTE]))
    def time_passes(self, beyond: timedelta) -> None:
        """Or the database's clock is set back."""
        self.now += beyond + timedelta(seconds=1)

    # --- A worker's next step; its knowledge may be old ---

    def ended(self, job: Job, verb: str, accepted: bool) -> None:
        now = self.rows.get(job.pk, Job(state="deleted"))
        mine = now.state == S.RUNNING and now.token == job.token
        assert accepted == (mine and (now.cancel_requested or verb != "stop")), f"{verb} by token {job.token} of {now}"
        if accepted:
            assert (job.pk, job.token) not in self.ends, "an attempt ended twice"
            self.ends.add((job.pk, job.token))
        counted = verb == "give_up" or (verb == "back_off" and not now.cancel_requested)
        self.failures[job.pk] += accepted and counted
        asked = {"stop"} if now.cancel_requested and verb in ("back_off", "snooze") else {verb}
        self.verbs = asked if accepted else set()

    @rule(job=held, verb=st.sampled_from(["back_off", "snooze"]), delay=st.sampled_from([timedelta(0), MINUTE]))
    def not_this_time(self, job: Job, verb: str, delay: timedelta) -> None:
        self.ended(job, verb, getattr(ledger, verb)(job, self.now + delay, errored()))

    @rule(job=held, verb=st.sampled_from(["succeed", "give_up", "stop"]))
    def the_end(self, job: Job, verb: str) -> None:
        self.ended(job, verb, getattr(ledger, verb)(job, "done" if verb == "succeed" else errored()))

    @rule(jobs=st.lists(held, min_size=1, max_size=3, unique_by=lambda job: job.pk))
    def they_succeed_together(self, jobs: list[Job]) -> None:
        mine = {job.pk for job in jobs if (job.pk, job.token) in self.claims - self.ends}
        mine &= {pk for pk in mine if self.rows[pk].state == S.RUNNING}
        assert ledger.succeed_many(jobs, "done") == len(mine)
        self.ends |= {(job.pk, job.token) for job in jobs if job.pk in mine}
        self.verbs = {"succeed"}

    @rule(job=held)
    def heartbeat(self, job: Job) -> None:
        now = self.rows.get(job.pk)
        kept = holding.beat([job.pk], job.worker, now=self.now)
        assert kept == bool(now and now.state == S.RUNNING and now.worker == job.worker)
        assert not kept or Job.objects.get(pk=job.pk).lease_until == self.now + leases.LEASE

    # --- Rescue: what was read may have changed before it is written ---

    @precondition(lambda self: self.running())
    @rule(target=seen, later=st.sampled_from([timedelta(0), OVER]), then_beats=st.booleans())
    def rescuer_reads(self, later: timedelta, then_beats: bool) -> Any:
        """A worker that was only slow may beat before the rescuer writes."""
        self.now += later
        seen = list(rescuer.lost(self.now))
        for job in seen if then_beats else []:
            assert holding.beat([job.pk], job.worker, now=self.now) == 1
        return multiple(*seen)

    @precondition(lambda self: self.running())
    @rule(target=held, worker=WORKERS)
    def workers_are_lost_and_another_takes_over(self, worker: str) -> Any:
        """Their leases run out; they may be dead, or speak up later."""
        self.now += OVER
        for seen in rescuer.lost(self.now):
            self.rescue(seen)
        self.each_history_is_a_path_of_the_table()
        return self.a_worker_takes_what_is_next(False, worker)

    @rule(seen=seen)
    def rescue(self, seen: Job) -> None:
        now = self.rows.get(seen.pk, Job(state="deleted"))
        same = (now.state, now.token, now.lease_until) == (S.RUNNING, seen.token, seen.lease_until)
        over = seen.lease_until is not None and seen.lease_until < self.now  # the clock may have been set back since
        rescued = ledger.rescue(seen, now=self.now)
        assert (rescued is not None) == (same and over), (
            "rescued from a worker that lives, or not from one that is lost"
        )
        if rescued:
            self.ends.add((seen.pk, seen.token))
            self.failures[seen.pk] += not now.cancel_requested
            last = now.max_attempts is not None and now.max_attempts <= self.failures[seen.pk]
            assert rescued.state == (S.CANCELLED if now.cancel_requested else S.FAILED if last else S.SCHEDULED)
        self.verbs = {"rescue", "bury", "stop"}

    @rule(job=held, to_blame=st.booleans())
    def the_main_process_hears_that_the_holder_is_gone(self, job: Job, to_blame: bool) -> None:
        """Whatever the lease; the row may have changed hands meanwhile."""
        now = self.rows.get(job.pk, Job(state="deleted"))
        mine = (now.state, now.token) == (S.RUNNING, job.token)
        taken = ledger.rescue(job, killed="gone", now=self.now) if to_blame else ledger.give_back(job)
        assert bool(taken) == mine
        if taken:
            self.ends.add((job.pk, job.token))
            self.failures[job.pk] += to_blame and not now.cancel_requested
        self.verbs = {"rescue", "bury", "stop"} if to_blame else {"give_back", "stop"}

    @rule(
        verb=st.sampled_from(["release", "expire", "reject"]), later=st.sampled_from([timedelta(0), MINUTE, 2 * HOUR])
    )
    def upkeep(self, verb: str, later: timedelta) -> None:
        self.now += later
        unknown = self.having(lambda job: job.state == S.SCHEDULED and job.task not in KNOWN)
        orphans = {pk for pk in unknown if self.rows[pk].run_at < self.now - HOUR}
        overdue = self.having(lambda job: job.state == S.QUEUED and job.lease_until < self.now)  # type: ignore[operator]
        late = self.having(lambda job: job.state in (S.SCHEDULED, S.QUEUED) and not self.useful(job))
        if verb == "release":
            assert ledger.release(Job.objects.filter(state=S.QUEUED, lease_until__lt=self.now)) == len(overdue)
        elif verb == "expire":
            assert {job.pk for job in ledger.expire(now=self.now)} == late
        else:
            assert {job.pk for job in ledger.reject(KNOWN, ["default"], HOUR, now=self.now)} == orphans
        self.verbs = {verb}

    # --- People ---

    @precondition(lambda self: self.running())
    @rule()
    def cancel_what_runs(self) -> None:
        self.cancel(sorted(self.running()))

    @rule(some=st.lists(ids, min_size=1, max_size=3, unique=True))
    def cancel(self, some: list[Any]) -> None:
        told = {S.SCHEDULED: "cancelled", S.QUEUED: "cancelled", S.RUNNING: "in flight"}
        receipt = ledger.cancel(some, "olga said so")
        assert receipt == {pk: told.get(S(self.rows[pk].state), "finished") for pk in some if pk in self.rows}
        over = self.having(lambda job: job.state in FINISHED)
        marked = set(Job.objects.filter(pk__in=over, cancel_requested=True).values_list("pk", flat=True))
        assert marked == {pk for pk in over if self.rows[pk].cancel_requested}, "what is over is left as it was"
        self.confirmed |= {pk for pk, answer in receipt.items() if answer == "cancelled"}
        self.verbs = {"cancel"}

    @rule(some=st.lists(ids, min_size=1, max_size=2, unique=True), to=st.sampled_from([timedelta(0), HOUR]))
    def reschedule(self, some: list[Any], to: timedelta) -> None:
        waiting = self.having(lambda job: job.pk in some and job.state in (S.SCHEDULED, S.QUEUED))
        assert ledger.reschedule(dict.fromkeys(some, (self.now + to, None))) == waiting
        self.verbs = {"reschedule"}

    @rule(some=st.lists(ids, min_size=1, max_size=2, unique=True))
    def retry(self, some: list[Any]) -> None:
        over = self.having(lambda job: job.pk in some and job.state in FINISHED)
        assert ledger.retry(some, run_at=self.now) == over
        self.confirmed -= over
        self.failures |= dict.fromkeys(over, 0)
        self.verbs = {"retry"}

    @rule(state=st.sampled_from(sorted(FINISHED)))
    def prune(self, state: str) -> None:
        """Deletes what is over, and nothing else; its key stays taken."""
        over = self.having(lambda job: job.state == state)
        assert pruner.drop(pruner._over(state)) == len(over)
        gone = [self.rows[pk] for pk in over]
        self.spent |= {(job.unique_key, job.tenant): job.pk for job in gone if job.unique_key}
        for pk in over:
            del self.rows[pk]

    # --- What holds after every step ---

    @invariant()
    def each_history_is_a_path_of_the_table(self) -> None:
        rows, verbs = {job.pk: job for job in Job.objects.all()}, self.verbs
        assert self.rows.keys() <= rows.keys()
        for pk, before in self.rows.items():
            arrow = (S(before.state), S(rows[pk].state))
            arrows = {(source, TRANSITIONS[verb][1]) for verb in verbs for source in TRANSITIONS[verb][0]}
            assert arrow[0] == arrow[1] or arrow in arrows, f"{arrow} by {verbs}"
            claimed = arrow == (S.QUEUED, S.RUNNING)
            assert rows[pk].token == before.token + claimed, "the fence moved without a claim"
        for pk in rows.keys() - self.rows.keys():
            self.failures[pk] = 0
        assert {pk: job.failures for pk, job in rows.items()} == {pk: self.failures[pk] for pk in rows}
        self.rows, self.verbs = rows, set()

    @invariant()
    def each_row_makes_sense(self) -> None:
        for job in self.rows.values():
            assert (job.lease_until is not None) == (job.state in (S.QUEUED, S.RUNNING)), "held means under a lease"
            assert (job.finished_at is not None) == (job.state in FINISHED)
            assert not (job.cancel_requested and job.state in (S.SCHEDULED, S.QUEUED)), "a cancel was forgotten"
            assert job.state != S.RUNNING or (job.pk, job.token) in self.claims - self.ends
            assert job.pk not in self.confirmed or job.state == S.CANCELLED

    @invariant()
    def each_attempt_has_one_story(self) -> None:
        told = list(Attempt.objects.values_list("job_id", "number"))
        assert len(told) == len(set(told)) and set(told) <= self.ends

    # --- In the end ---

    def teardown(self) -> None:
        """The faults are over: whatever is left comes to rest."""
        try:
            for _ in range(5):
                self.now += DAY
                ledger.release(Job.objects.filter(state=S.QUEUED, lease_until__lt=self.now))
                for seen in rescuer.lost(self.now):
                    ledger.rescue(seen, now=self.now)
                ledger.expire(now=self.now)
                for sent in ledger.dispatch("default", [*KNOWN, "probe.gone"], 500, now=self.now):
                    job = ledger.claim(sent.pk, "healed:1", now=self.now)
                    assert job and ledger.succeed(job)
            assert not Job.objects.unfinished().exists(), "never comes to rest"
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)


def test_no_order_of_events_breaks_the_ledger() -> None:
    stateful.run_state_machine_as_test(LedgerMachine, settings=PROFILE)
