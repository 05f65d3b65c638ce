"""Whether a run kept the promises: what the database says of its deliveries, against the mails that really arrived.

Used by demo.py. Pure: neither database nor clock. Promise: believes neither side alone; a delivery counts as
sent only with its mail, and a mail only with the delivery whose id it carries.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from config.demo.mailbox import Mail

TERMINAL = frozenset({"sent", "refused", "in_doubt", "skipped"})
MAILED = frozenset({"sending", "in_doubt", "sent"})  # in doubt: the provider may have it, and here one can look


@dataclass(frozen=True)
class Outcome:
    """A delivery, as the database tells it at the end."""

    id: str
    what: str  # for people
    recipient: str
    state: str
    reason: str
    send_at: datetime


@dataclass(frozen=True)
class Withdrawal:
    """A receipt: from `at` on, no mail may arrive for these deliveries."""

    why: str  # for people
    at: datetime
    ids: frozenset[str]


@dataclass
class Verdict:
    """The lists name each case, for people; all empty is what was promised."""

    planned: int = 0  # all deliveries there are
    sent: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # by reason
    refused: int = 0
    in_doubt: int = 0
    still_planned: int = 0  # not due yet
    slowest: timedelta = timedelta()  # from due to arrived
    lost: list[str] = field(default_factory=list)  # due and not ended, or sent without a mail
    duplicated: list[str] = field(default_factory=list)  # one more mail than its delivery may have
    wrong: list[str] = field(default_factory=list)  # a mail of nobody's, to the wrong address, too early, or withdrawn

    @property
    def kept(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong)

    @property
    def problems(self) -> list[str]:
        kinds = (("lost", self.lost), ("duplicated", self.duplicated), ("wrong", self.wrong))
        return [f"{kind}: {case}" for kind, cases in kinds for case in cases]

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.skipped.most_common())
        parts = [
            f"planned {self.planned}",
            f"sent {self.sent}",
            f"skipped {self.skipped.total()}" + (f" ({reasons})" if reasons else ""),
            *(f"{name} {count}" for name, count in (("refused", self.refused), ("in doubt", self.in_doubt)) if count),
            f"still planned {self.still_planned}",
            f"lost {len(self.lost)}",
            f"duplicated {len(self.duplicated)}",
            *([f"wrong {len(self.wrong)}"] if self.wrong else []),
        ]
        return ", ".join(parts)


def verdict(
    outcomes: Sequence[Outcome], mails: Sequence[Mail], withdrawals: Sequence[Withdrawal], due_by: datetime
) -> Verdict:
    """Judge. Deliveries due after `due_by` may still wait; both lists are of one quiet moment."""
    result = Verdict(planned=len(outcomes))
    arrived: dict[str, list[Mail]] = defaultdict(list)
    for mail in mails:
        arrived[mail.delivery_id].append(mail)
    for outcome in outcomes:
        _count(outcome, result, due_by)
        _compare(outcome, arrived.pop(outcome.id, []), result)
    for foreign in arrived.values():
        result.wrong += [f"{_named(mail)} belongs to no delivery" for mail in foreign]
    for withdrawal in withdrawals:
        result.wrong += [
            f"{_named(mail)} arrived after the receipt: {withdrawal.why}"
            for mail in mails
            if mail.delivery_id in withdrawal.ids and mail.arrived_at > withdrawal.at
        ]
    return result


def _count(outcome: Outcome, result: Verdict, due_by: datetime) -> None:
    if outcome.state == "skipped":
        result.skipped[outcome.reason] += 1
    elif outcome.state in TERMINAL:
        setattr(result, outcome.state, getattr(result, outcome.state) + 1)
    elif outcome.send_at <= due_by:
        result.lost.append(f"{outcome.what}: was due at {outcome.send_at:%H:%M:%S} and is still {outcome.state}")
    else:
        result.still_planned += 1


def _compare(outcome: Outcome, mails: list[Mail], result: Verdict) -> None:
    """One delivery with the mails that carry its id."""
    right = [mail for mail in mails if mail.recipients == (outcome.recipient,)]
    if outcome.state == "sent" and not right:
        result.lost.append(f"{outcome.what}: says sent, but no mail reached {outcome.recipient}")
    for mail in mails:
        if mail not in right:
            result.wrong.append(f"{_named(mail)} went to {', '.join(mail.recipients)}, not to {outcome.recipient}")
        if outcome.state not in MAILED:
            result.wrong.append(f"{_named(mail)} arrived, but {outcome.what} is {outcome.state} {outcome.reason}")
        if mail.arrived_at < outcome.send_at:
            result.wrong.append(f"{_named(mail)} arrived at {mail.arrived_at:%H:%M:%S}, before it was due")
    result.duplicated += [f"{_named(mail)} is one mail too many" for mail in mails[1:]]
    if right:
        result.slowest = max(result.slowest, right[0].arrived_at - outcome.send_at)


def _named(mail: Mail) -> str:
    return f"mail {mail.subject!r} ({mail.message_id})"
