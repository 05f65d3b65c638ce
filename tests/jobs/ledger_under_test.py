"""What the ledger's machine knows: its jobs, its clock, its broker, and what holds after every step and in the end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from hypothesis import stateful, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from jobs import leases, ledger, rescuer
from jobs.models import Attempt, Job
from jobs.transitions import TRANSITIONS
from tests.factories import DAY, HOUR, MINUTE

S = Job.State
MOST_JOBS = 3
OVER = leases.LEASE + timedelta(seconds=1)
WORKERS = st.sampled_from(["one:1", "two:2"])
LATER = st.sampled_from([timedelta(0), timedelta(0), 2 * MINUTE])  # longer than a job may be useful
FINISHED = {S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED}
KNOWN = ["probe.ok"]


class Ledger(RuleBasedStateMachine):
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
