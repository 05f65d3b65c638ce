"""An exhaustive model of one reminder: its job, its delivery, and all that can happen to them, in every order.

Two workers, a dispatcher, a broker that loses and repeats messages, a rescuer, an operator and a customer who cancels
share one row of each table. A step is one SQL statement or one call of the provider; the fence is two, because
PostgreSQL looks at other tables as a statement begins, and at the row itself again once it has its lock. Every guard
of the code can be taken out by its name: `python -m tests.model [guard ...]` prints what happens then.

Time is left out but for one assumption: whoever is slow enough to be rescued is slower than the quarantine.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

GUARDS = {
    "claim from queued": "jobs/ledger.py:claim",
    "token at finish": "jobs/ledger.py:_held",
    "lease of messages": "jobs/rescuer.py:rescue_lost, jobs/ledger.py:release",
    "seen at rescue": "jobs/ledger.py:rescue",
    "cancel wins at back_off": "jobs/ledger.py:back_off",
    "cancel wins at rescue": "jobs/ledger.py:rescue",
    "flag at dispatch": "jobs/ledger.py:dispatch, jobs/ledger.py:claim",
    "honest cancel": "jobs/ledger.py:cancel",
    "fence: planned": "notifications/fence.py:_still_wanted",
    "fence: held": "notifications/fence.py:_still_wanted, jobs/ledger.py:holds",
    "fence: booked": "notifications/fence.py:_still_wanted",
    "quarantine": "notifications/fence.py:intend",
    "intent's token": "notifications/outcomes.py:rows",
    "sending is a doubt": "notifications/sending.py:_recovered",
    "unknown is a doubt": "notifications/outcomes.py:unknown",
    "doubt is counted": "notifications/outcomes.py:unknown",
    "own row at withdrawal": "notifications/changes.py:_withdraw",
    "honest withdrawal": "notifications/changes.py:_withdraw",
    "settle": "notifications/reconciler.py:settle",
}
FAULTS = ("kill", "slow", "lose", "cancel", "withdraw")  # each happens once at most, at any time
MAX_ATTEMPTS, MAX_MESSAGES = 2, 2

TWICE = "delivered twice"
AFTER_WITHDRAWAL = "delivered after the withdrawal was confirmed"
AFTER_CANCEL = "a request began after the job was confirmed as cancelled"
NEW_SEND = "a new send for a booking that is off"
SENT_ANYWAY = "refused or skipped, though it was delivered"
LOST = "given up, though nobody refused it"
STUCK = "never comes to rest"
ANOTHER = "another attempt after a cancel was asked for"
TAKEN = "taken from a worker whose lease ran"

JOB_OVER = ("succeeded", "failed", "cancelled")
DELIVERY_OVER = ("sent", "refused", "in_doubt", "skipped")
ANSWERS = {  # of the provider: (the job's verb, the delivery's state)
    "accepted": ("succeed", "sent"),
    "busy": ("back_off", "planned"),
    "refused": ("give_up", "refused"),
    "unknown": ("give_up", "in_doubt"),
}
VERBS = {"succeed": "succeeded", "back_off": "scheduled", "give_up": "failed", "stop": "cancelled"}
IDLE = ("idle", 0)


class State(NamedTuple):
    """Both rows, the broker, the workers, and what people were told."""

    job: str = "scheduled"
    token: int = 0
    asked: bool = False  # cancel_requested
    lease: bool = True  # not over yet
    delivery: str = "planned"
    intent: int = 0  # the token in the delivery
    booked: bool = True
    messages: int = 0
    publishing: bool = False  # committed as queued, its message not yet sent
    workers: tuple[tuple[str, int], ...] = (IDLE, IDLE)  # (next step, token); sorted, they are alike
    seen: bool = False  # a rescuer without its guard has read the row
    accepted: int = 0  # by the provider
    promised: str = ""  # what a receipt said: cancelled, withdrawn
    left: tuple[str, ...] = ()  # faults still to come
    wrong: str = ""


Step = tuple[str, State]
Off = frozenset[str]


def steps(s: State, off: Off) -> Iterator[Step]:
    """All that may happen next."""
    yield from _transport(s, off)
    for worker in sorted(set(s.workers)):
        yield from _work(s, off, worker)
        if worker != IDLE and "kill" in s.left:
            yield "kill", _spent(s, "kill")._replace(workers=_replaced(s, worker, IDLE))
    yield from _upkeep(s, off)
    yield from _people(s, off)


def _spent(s: State, fault: str) -> State:
    return s._replace(left=tuple(other for other in s.left if other != fault))


def _replaced(s: State, old: tuple[str, int], new: tuple[str, int]) -> tuple[tuple[str, int], ...]:
    workers = list(s.workers)
    workers[workers.index(old)] = new
    return tuple(sorted(workers))


def _transport(s: State, off: Off) -> Iterator[Step]:
    """The dispatcher, which commits first and publishes afterwards, and the broker."""
    if s.job == "scheduled" and not s.publishing and not (s.asked and "flag at dispatch" not in off):
        yield "dispatch", s._replace(job="queued", publishing=True)
    if s.publishing and s.messages < MAX_MESSAGES:
        yield "publish", s._replace(publishing=False, messages=s.messages + 1)
    if s.publishing and "kill" in s.left:
        yield "kill dispatcher", _spent(s, "kill")._replace(publishing=False)
    if s.messages and "lose" in s.left:
        yield "lose messages", _spent(s, "lose")._replace(messages=0)
    if s.job == "queued" and "lease of messages" not in off:  # its message may still wait, and will come twice
        yield "release", s._replace(job="scheduled")


def _work(s: State, off: Off, worker: tuple[str, int]) -> Iterator[Step]:
    """The executor and `deliver`: one statement each."""
    step, token = worker
    held = s.job == "running" and s.token == token
    resends = s.delivery == "sending" and "sending is a doubt" in off
    open_to_us = s.delivery == "planned" or resends or "fence: planned" in off

    def to(step: str, **changes: object) -> Step:
        new = IDLE if step == "idle" else (step, token)
        return f"{worker[0]}#{token}", s._replace(workers=_replaced(s, worker, new), **changes)  # type: ignore[arg-type]

    if step == "idle" and s.messages:
        took, new = s._replace(messages=s.messages - 1), ("look", s.token + 1)
        takeable = s.job == "queued" or (s.job == "running" and "claim from queued" in off)
        if takeable and (not s.asked or "flag at dispatch" in off):
            took = took._replace(workers=_replaced(s, IDLE, new), wrong=ANOTHER if s.asked and s.token else "")
            yield "claim", took._replace(job="running", token=s.token + 1, lease=True)
        else:
            yield "drop", took
    elif step == "look":
        yield to("check" if s.delivery == "planned" or resends else "doubt" if s.delivery == "sending" else "succeed")
    elif step == "doubt":
        if s.delivery == "sending":
            yield to("succeed", delivery="in_doubt")
        else:  # the earlier attempt came back meanwhile
            came_back = s.delivery == "planned" and "doubt is counted" not in off
            yield to("back_off" if came_back else "succeed")
    elif step == "check":  # the fence as its statement begins
        wanted = ((held and not s.asked) or "fence: held" in off) and (s.booked or "fence: booked" in off)
        if wanted and open_to_us:
            yield to("intend")
        elif s.delivery == "planned" and not s.booked:
            yield to("succeed", delivery="skipped")
        else:
            yield to("stop" if s.delivery == "planned" else _why_not(s, off))
    elif step == "intend":  # the fence under the lock of the delivery's row
        if open_to_us:
            label, after = to("begin", delivery="sending", intent=token, wrong="" if s.booked else NEW_SEND)
            if "fence: planned" not in off:  # who waits for this row's lock looks at it again now
                waits = [(_why_not(after, off), t) if step == "intend" else (step, t) for step, t in after.workers]
                after = after._replace(workers=tuple(sorted(waits)))
            yield label, after
        else:
            yield to(_why_not(s, off))
    elif step == "begin":
        if not held and "quarantine" not in off:  # rescued meanwhile, so this came too late
            given_back = s.delivery == "sending" and s.intent == token
            yield to("back_off", delivery="planned" if given_back else s.delivery)
        else:
            yield to("call", wrong=AFTER_CANCEL if s.promised == "cancelled" else "")
    elif step == "call":
        wrong = AFTER_WITHDRAWAL if s.promised == "withdrawn" else TWICE if s.accepted else ""
        yield to("accepted", accepted=s.accepted + 1, wrong=wrong)
        yield to("unknown", accepted=s.accepted + 1, wrong=wrong)  # taken, but the answer was lost
        for answer in ("unknown", "busy", "refused"):
            yield to(answer)
    elif step != "idle":
        yield _ended(s, off, worker, held, to)


def _why_not(s: State, off: Off) -> str:
    """The verb of an attempt that finds the delivery no longer planned."""
    return "back_off" if s.delivery == "sending" and "doubt is counted" not in off else "succeed"


def _ended(s: State, off: Off, worker: tuple[str, int], held: bool, to: Callable[..., Step]) -> Step:
    """The outcome: first in the delivery, then in the job."""
    step, token = worker
    last = token >= MAX_ATTEMPTS
    if step in ANSWERS:
        verb, delivery = ANSWERS["busy" if step == "unknown" and "unknown is a doubt" in off else step]
        mine = (s.delivery == "sending" and s.intent == token) or "intent's token" in off
        return to(verb, delivery=("refused" if last and verb == "back_off" else delivery) if mine else s.delivery)
    if not held and not (s.job == "running" and "token at finish" in off):
        return to("idle")
    if step == "back_off":
        step = "stop" if s.asked and "cancel wins at back_off" not in off else "give_up" if last else step
    return to("idle", job=VERBS[step] if step != "stop" or s.asked else s.job)


def _upkeep(s: State, off: Off) -> Iterator[Step]:
    """Leases, the rescuer, and `settle`."""
    alive = any(token == s.token for step, token in s.workers if step != "idle")
    if s.job == "running" and s.lease:
        if not alive:
            yield "lease over", s._replace(lease=False)
        elif "slow" in s.left:
            yield "lease over, though it lives", _spent(s, "slow")._replace(lease=False)
    if s.job == "running" and not s.lease:
        if alive:
            yield "beat", s._replace(lease=True)
        if "seen at rescue" in off:
            yield "rescuer reads", s._replace(seen=True)
        else:  # what was read is compared as it is written: one step
            yield "rescue", _rescued(s, off)
    if s.seen and s.job == "running":
        yield "rescuer writes", _rescued(s, off)._replace(seen=False, wrong=TAKEN if s.lease and alive else "")
    if s.job in JOB_OVER and "settle" not in off:
        if s.delivery == "planned":
            lost = LOST if s.job == "succeeded" else ""
            ended = "skipped" if s.job == "cancelled" else "refused"
            yield "settle", s._replace(delivery=ended, wrong=lost)
        elif s.delivery == "sending":
            yield "settle", s._replace(delivery="in_doubt")


def _rescued(s: State, off: Off) -> State:
    if s.asked and "cancel wins at rescue" not in off:
        return s._replace(job="cancelled")
    return s._replace(job="scheduled" if s.token < MAX_ATTEMPTS else "failed")


def _people(s: State, off: Off) -> Iterator[Step]:
    """An operator cancels the job; a customer cancels the booking (a move or a payment withdraws alike)."""
    waiting = s.job in ("scheduled", "queued")
    stopped = s._replace(job="cancelled" if waiting else s.job, asked=s.asked or s.job == "running")
    if "cancel" in s.left and s.job not in JOB_OVER:
        told = "cancelled" if waiting or "honest cancel" in off else ""
        yield "cancel job", _spent(stopped, "cancel")._replace(promised=s.promised or told)
    if "withdraw" in s.left and s.delivery == "planned":
        row = "planned" if "own row at withdrawal" in off else "skipped"
        yield "cancel booking", _spent(stopped, "withdraw")._replace(booked=False, delivery=row, promised="withdrawn")
    if "withdraw" in s.left and s.delivery == "sending":
        told = "withdrawn" if "honest withdrawal" in off else s.promised
        yield "cancel booking", _spent(s, "withdraw")._replace(booked=False, promised=told)


def _untrue(s: State) -> str:
    """What is wrong with a state in itself."""
    return SENT_ANYWAY if s.delivery in ("refused", "skipped") and s.accepted else ""


def _rests(s: State) -> bool:
    return s.job in JOB_OVER and s.delivery in DELIVERY_OVER


def explore(off: Iterable[str] = (), faults: Iterable[str] = FAULTS) -> tuple[int, dict[str, list[str]]]:
    """Visit every state that can be reached. Returns their number, and for each wrong a shortest way to it."""
    off, start = frozenset(off), State(left=tuple(faults))
    if unknown := off - GUARDS.keys():
        raise ValueError(f"no such guard: {unknown}")
    came: dict[State, tuple[State, str] | None] = {start: None}
    leads: dict[State, list[State]] = defaultdict(list)  # backwards, without faults
    wrongs: dict[str, State] = {}
    todo = deque([start])
    while todo:
        s = todo.popleft()
        if wrong := s.wrong or _untrue(s):
            wrongs.setdefault(wrong, s)
            continue
        if s.workers == (IDLE, IDLE) and _rests(s):
            continue
        for label, after in steps(s, off):
            if after.left is s.left:
                leads[after].append(s)
            if after not in came:
                came[after] = (s, label)
                todo.append(after)
    resting = [s for s in came if s.wrong or _untrue(s) or _rests(s)]
    rests = set(resting)
    while resting:
        for before in leads[resting.pop()]:
            if before not in rests:
                rests.add(before)
                resting.append(before)
    stuck = next((s for s in came if s not in rests), None)
    if stuck:
        wrongs[STUCK] = stuck
    return len(came), {wrong: _way(came, s) for wrong, s in wrongs.items()}


def _way(came: dict[State, tuple[State, str] | None], s: State) -> list[str]:
    way = []
    while step := came[s]:
        s, label = step
        way.append(label)
    return way[::-1]
