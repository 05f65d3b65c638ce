"""The races between everybody who changes a job or a delivery, and which mutants take out the guards against each.

Also the page of it, docs/races.md: `python -m tests.mutants --page > docs/races.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants.mutant import Mutant


@dataclass(frozen=True)
class Race:
    number: int
    race: str
    harm: str
    guard: str
    mutants: tuple[str, ...] = ()  # their names; none: see `guard`


RACES = [
    Race(
        1,
        "a cancel and a claim",
        "it is reported as cancelled, and runs",
        "each is one UPDATE on the state; the intent asks again",
        (
            "cancel: the state before the flag",
            "claim: a job with a cancel asked for",
            "dispatch: a job with a cancel asked for",
            "holds: though a cancel was asked for",
            "cancel: the flag and the state in two transactions",
        ),
    ),
    Race(
        2,
        "a cancel while the provider is called",
        "“cancelled” is told, and it arrives",
        "the intent is written first; the receipt says in flight",
        (
            "intent: no intent",
            "cancel: says cancelled of what runs",
            "plan: says withdrawn of what is being sent",
            "plan: withdraws what is being sent",
            "withdraw: what is being sent",
        ),
    ),
    Race(
        3,
        "a cancel after a rescue, while the old worker is stopped between intent and request",
        "a request begins after the cancel was confirmed",
        "the quarantine: a request begins within 10 s of its intent, under a lease that lasts longer",
        (
            "quarantine: begins whenever",
            "quarantine: measured from after the fence",
            "quarantine: as long as a lease",
            "quarantine: the lease may end within it",
            "quarantine: its intent stays",
            "doubt: sent again while the lost worker's request may be under way",
        ),
    ),
    Race(
        4,
        "a move and a message that is out",
        "the old time is sent",
        "the revision in the intent's condition",
        (
            "fence: a booking's time of before",
            "fence: a payment's date of before",
            "plan: keeps reminders of the old time",
            "booking: a move without a new revision",
            "booking: two moves share a revision",
            "import: a move without a new revision",
            "snooze: over a move",
            "reschedule: a job that runs keeps its old time",
        ),
    ),
    Race(
        5,
        "a person's retry and the worker of before",
        "the fence is reset and the old worker writes; or the job has no attempts left",
        "two counters: the token only grows, the failures are reset",
        ("retry: resets the fence", "retry: keeps the failures", "claim: the fence does not move"),
    ),
    Race(
        6,
        "two messages of one job (two beats, a sweep, a redelivery)",
        "two workers run it",
        "the claim takes only what is queued; the second message is dropped",
        (
            "claim: what another worker runs",
            "executor: runs what it could not claim",
            "occurrence: without a key",
            "fill: two dispatchers at one queue",
        ),
    ),
    Race(
        7,
        "the message and the commit of its row",
        "the worker finds nothing and drops it",
        "published after the commit",
        ("publish: before the rows are committed",),
    ),
    Race(
        8,
        "a dispatcher that dies between commit and message, a broker that loses it",
        "queued for ever",
        "the lease of queued rows, and the broker's epoch",
        (
            "rescuer: lost messages stay lost",
            "epoch: nobody looks",
            "dispatch: forgets the broker's epoch",
            "publish: what the broker refused stays marked",
        ),
    ),
    Race(
        9,
        "the sweep of lost messages and a backlog",
        "everything is published again and again",
        "windows; each message sent in vain is believed twice as long",
        (
            "leases: a message is not believed longer each time",
            "dispatch: messages sent in vain are not counted",
            "fill: whatever the window",
            "rescuer: takes messages back that may still come",
            "epoch: messages that still wait are sent again",
        ),
    ),
    Race(
        10,
        "a lease that ends and a holder that lives",
        "two workers send it",
        "heartbeats and the intent ask for token and lease; what was being sent is a doubt",
        (
            "beat: for another worker's job",
            "beat: for a job that is over",
            "fence: by whoever ever held the job",
            "holds: though the job has ended",
            "holds: though the lease is nearly over",
            "doubt: a lost worker's message is sent again",
        ),
    ),
    Race(
        11,
        "the rescuer reads, the worker goes on, the rescuer writes",
        "a living worker loses its job",
        "the UPDATE asks for token and lease as they were read",
        (
            "rescue: from a worker that beats",
            "rescue: by a lease seen before",
            "rescue: while the lease runs",
            "rescue: a row that somebody is changing",
        ),
    ),
    Race(
        12,
        "a worker that was given up for dead and the next one",
        "the old outcome over the new one",
        "the token in every outcome",
        (
            "finish: by whoever ever held the job",
            "succeed many: by whoever ever held them",
            "tell: over the next attempt",
            "outcome: of another attempt's intent",
            "doubt: over an answer that came meanwhile",
            "give back: what another holds by now",
            "look-up: over a newer attempt",
            "atomic: commits for a job that is another's by now",
        ),
    ),
    Race(
        13,
        "a timeout and the provider's acceptance",
        "sent twice",
        "whatever is not certainly refused is a doubt",
        (
            "answer: unknown is tried again",
            "answer: only Unknown is unknown",
            "smtp: a broken connection after the message was not taken",
            "smtp: an answer that is neither yes nor no is a refusal",
            "email: any backend's broken connection was not taken",
        ),
    ),
    Race(
        14,
        "a doubt and a later failure",
        "“refused”, though it was delivered",
        "doubts are counted and outlive later attempts",
        (
            "doubt: not counted",
            "doubt: forgotten by a later end",
            "doubt: forgotten by a later refusal",
            "doubt: another channel while the first may have it",
            "settle: calls an interrupted call refused",
        ),
    ),
    Race(
        15,
        "a cancel and the attempt's own retry",
        "a cancelled job comes back, or is lost between the two",
        "the outcome looks at the flag under the row's lock",
        (
            "back off: over a cancel",
            "back off: a cancel leaves it running",
            "back off: between a cancel and its withdrawal the job is lost",
            "snooze: over a cancel",
            "give back: over a cancel",
            "rescue: over a cancel",
            "reschedule: over a cancel",
            "snooze: between a cancel and its withdrawal the job is lost",
            "give back: between a cancel and its withdrawal the job is lost",
        ),
    ),
    Race(
        16,
        "an opt-out and a message that is being sent",
        "a mail after the unsubscribe",
        "the opt-out withdraws the deliveries' own rows; the intent asks for consent and suppression",
        (
            "opt-out: noted, and the reminders stay planned",
            "fence: somebody who opted out",
            "fence: an address that must not be written to",
            "fence: an address that is gone or another",
        ),
    ),
    Race(
        17,
        "two who plan, or call, the same",
        "two reminders, two jobs",
        "unique constraints and ON CONFLICT DO NOTHING",
        (
            "plan: a reminder twice",
            "enqueue: an id or key that is taken",
            "enqueue: keys looked at before the insert",
            "enqueue: insert and look at the keys in two transactions",
            "import: two at once collide",
        ),
    ),
    Race(
        18,
        "a planner that has read a booking, and a change of it",
        "a cancelled booking is reminded of",
        "planners, importers and fallbacks lock the booking first",
        (
            "reconcile: plans a booking that is changing",
            "replan: plans a booking that is changing",
            "import: writes over a change",
            "fallback: a cancel at the same moment",
            "booking: changes what is off",
        ),
    ),
    Race(
        19,
        "the clocks of several machines",
        "sent early, or a lease without an end",
        "the database's clock decides",
        (
            "dispatch: by the clock of the worker's machine",
            "fill: by the clock of the dispatcher's machine",
            "claim: by the clock of the worker's machine",
            "rescue: by the clock of the rescuer's machine",
            "why not: by the clock of the worker's machine",
        ),
    ),
    Race(
        20,
        "the database's clock is set",
        "the reminders of the next hour go out",
        "a hold, until the clock is back or a person says so",
        (
            "hold: sends by a clock that jumped",
            "hold: refills by a clock that jumped",
            "hold: forward only",
            "hold: back only",
            "hold: ends at the first agreeing look",
            "hold: a process that starts ends it",
            "hold: the last tick lies ahead",
            "hold: agreeing looks need not follow each other",
            "rescuer: believes a clock that jumped",
        ),
    ),
    Race(
        21,
        "a commit whose answer is lost",
        "written twice, or a false doubt",
        "outcomes are repeated under the token; an intent is taken back",
        (
            "insist: gives up at once",
            "intent: a commit without an answer counts as written",
            "executor: an error of the claim ends the worker's message",
            "answer: forgotten when the database hiccups",
            "atomic: a commit without an answer is a failure",
            "atomic: a commit without an answer is a success",
        ),
    ),
    Race(
        22,
        "a restored database, a failover that lost seconds",
        "what was delivered is sent again",
        "not built: nothing in the code notices that the rows are older than what providers were told. Whoever "
        "restores pauses the queues first (`manage.py jobs pause`), and compares with the provider before they resume",
    ),
    Race(
        23,
        "a provider's callback and our own commit",
        "the callback is lost, or counts twice",
        "callbacks are kept by their id; what they tell outranks a doubt",
        (
            "doubt: over what a callback has told",
            "doubt: decided twice",
            "callback: counts each time it is told",
            "callback: a later one makes a worse one better",
            "callback: noted, and what follows is lost",
        ),
    ),
    Race(
        24,
        "a heartbeat that beats for a sender that hangs",
        "the lease never ends",
        "a hard limit on the time of an attempt; the heartbeat dies with its process",
        ("deliver: without a limit on its time", "heartbeat: a forked child believes that it beats"),
    ),
    Race(
        25,
        "a template or an address that changes between rendering and sending",
        "mixed content, or the old address",
        "rendered once from one look at the rows; the intent asks for the same address",
        ("fence: an address that is gone or another", "digest: mentions what was paid meanwhile"),
    ),
    Race(
        26,
        "one of several recipients is refused",
        "the others get it twice",
        "by construction: a delivery has one recipient and one channel",
    ),
    Race(
        27,
        "a flood of one tenant, or of urgent jobs",
        "the others starve",
        "turns between tenants, and every tenth place for the longest overdue",
        (
            "turns: a flood of one tenant before the others",
            "turns: a stream of urgent jobs stops the others",
            "keys: two queues count at the same time",
            "fill: cancelled jobs take the places of others in a crowd",
            "fill: a lane with a key as one without",
            "rate of a task: two dispatchers draw the same tokens",
        ),
    ),
    Race(
        28,
        "workers of two releases",
        "a job fails because the worker is old, or its code not yet there",
        "unknown tasks wait an hour; older arguments are brought up to date, newer ones left to newer workers",
        (
            "dispatch: a task without code",
            "reject: during a rolling deploy",
            "executor: arguments of an older version as they are",
            "executor: arguments of a newer version as they are",
        ),
    ),
    Race(
        29,
        "an order and the jobs that are made meanwhile, or a second worker that resumes it",
        "jobs that nobody was shown are cancelled, or some are taken twice and others left out",
        "what was made after it was shown is not touched; how far it is is written in the transaction that did it",
        (
            "order: jobs that were made after it was shown",
            "order: resumed from its beginning",
            "order: how far it is is not kept with what it did",
            "order: the jobs of others",
        ),
    ),
    Race(
        30,
        "two clicks on one button that changes many",
        "the move is made twice",
        "the page's token, in a unique column",
        ("change to many: two clicks, two changes", "change to many: started without the page's token"),
    ),
]

HEAD = """# Races and their guards

Everybody may change a job or a delivery at any moment: dispatchers, workers, rescuers, planners, importers, providers
and people. What keeps them apart are guards, most of them a condition in the one UPDATE that makes the change. Each
guard is taken out in turn, in a copy of the code (a *mutant*), and the tests named here fail then. `make mutants` does
it; `make test` checks that every guard still stands where its mutant says. When one has moved, its failure says where
to: correct the place or the text in `tests/mutants/`, and print this page anew (`python -m tests.mutants --page`).

Where a guard is told with two places, either alone would do: they are taken out together. A test that needs two writers
at once runs on PostgreSQL only, and so do the mutants that it is to notice.

## The races

| | at the same time | what would go wrong | guard | without it | tests that fail then |
|---|---|---|---|---|---|
"""
EVERY = """
## Every guard

| without it | where it stands | tests that fail then |
|---|---|---|
"""


def page(mutants: list[Mutant]) -> str:
    """docs/races.md."""
    by_name = {mutant.name: mutant for mutant in mutants}
    return HEAD + "".join(_race(race, by_name) for race in RACES) + EVERY + "".join(_guard(one) for one in mutants)


def _race(race: Race, by_name: dict[str, Mutant]) -> str:
    taken = [by_name[name] for name in race.mutants]
    tests = dict.fromkeys(_short(one.tests[0]) for one in taken)
    names = "<br>".join(one.name for one in taken)
    return _row(f"R{race.number}", race.race, race.harm, race.guard, names, "<br>".join(tests))


def _guard(mutant: Mutant) -> str:
    places = "<br>".join(dict.fromkeys(f"`{cut.place}`" for cut in mutant.cuts))
    return _row(mutant.name, places, "<br>".join(_short(test) for test in mutant.tests))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _short(test: str) -> str:
    path, _, name = test.removeprefix("tests/").partition("::")
    return f"{path.removesuffix('.py')}: {name.removeprefix('test_').replace('_', ' ')}".replace("|", "\\|")


def unknown(mutants: list[Mutant]) -> Iterator[str]:
    """Names that the races use and no mutant has."""
    names = {mutant.name for mutant in mutants}
    yield from (name for race in RACES for name in race.mutants if name not in names)
