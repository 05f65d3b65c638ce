"""The real verbs on the real database, in any order: Hypothesis chooses who does what, on which stale knowledge.

Workers, rescuers, dispatchers and people act on what they read at some earlier time; the machine owns the clock and the
broker. After each step the rows are compared with what the verb's guard promises, and in the end everything has to
come to rest. HYPOTHESIS_PROFILE=nightly searches at random and for long; otherwise the same examples come every time.
"""

import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, stateful, strategies as st
from hypothesis.stateful import multiple, precondition, rule

from jobs import holding, leases, ledger, pruner, rescuer
from jobs.models import Attempt, Job
from tests.factories import HOUR, MINUTE
from tests.jobs.ledger_under_test import FINISHED, KNOWN, OVER, WORKERS, Ledger, S

pytestmark = pytest.mark.django_db

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


class LedgerMachine(Ledger):
    """Work comes in and reaches workers as `Ledger` says; here is what workers, rescuers and people do then."""

    held, seen, ids = Ledger.held, Ledger.seen, Ledger.ids

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


def test_no_order_of_events_breaks_the_ledger() -> None:
    stateful.run_state_machine_as_test(LedgerMachine, settings=PROFILE)
