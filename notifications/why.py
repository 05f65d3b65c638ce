"""Why a reminder went out, or did not: for every rule and channel of a booking or payment, what became of it.

Asked by `manage.py why`, the admin and the API. The promise: every rule has an answer, also one that never made a
delivery, and the answer costs two queries however much there is to tell.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast, Lower
from django.utils.translation import gettext as _, gettext_lazy

from notifications import planning, reach
from notifications.models import Booking, Channel, Consent, Delivery, Payment, ReminderRule, Suppression
from notifications.occurrences import Anchor
from notifications.planning import Reason, State

ABOUT: dict[type[Anchor], tuple[str, ...]] = {
    Booking: tuple(kind for kind in ReminderRule.Anchor.values if kind.startswith("booking")),
    Payment: (ReminderRule.Anchor.PAYMENT_DUE,),
}
ADDRESSES = {Channel.EMAIL: Lower("customer__email"), Channel.SMS: Cast("customer__phone", TextField())}
OPEN_END = gettext_lazy("not planned yet: `manage.py schedule_reminders` does it, as beat does every hour")


class NotFound(LookupError):
    """There is no such booking, payment or delivery, or more than one."""


@dataclass(frozen=True)
class Answer:
    """What became of one rule on one channel."""

    rule: str
    channel: str
    state: str  # of the delivery; "none" if there never was one
    reason: str  # a value of Delivery.Reason; empty if nothing speaks against it
    text: str  # the answer, for people
    delivery: UUID | None = None
    revision: int | None = None
    occurrence: int = 0
    send_at: datetime | None = None
    sent_at: datetime | None = None
    detail: str = ""  # what the provider or the error said
    outcome: str = ""  # a value of Delivery.Outcome


def find(text: str, kind: type[Anchor] = Booking) -> Anchor:
    """The booking or payment of that number, external id or delivery. One query. Raises NotFound."""
    which = Q(external_id=text)
    if text.isascii() and text.isdecimal() and len(text) < 19:
        which |= Q(pk=int(text))
    name = kind.__name__.lower()
    with suppress(ValueError):
        which |= Q(pk__in=Delivery.objects.filter(pk=UUID(text)).values(name))
    found: list[Anchor] = list(asked(kind).filter(which).order_by("pk")[:2])
    if not found:
        raise NotFound(f"There is no {name} with the number, external id or delivery {text!r}.")
    if len(found) > 1:
        one, other = found
        raise NotFound(f"{text!r} is the number of one {name} and the external id of another: {one.pk}, {other.pk}.")
    return found[0]


def asked(kind: type[Anchor]) -> QuerySet[Any]:
    """Anchors with what `why` has to know about their customers."""
    objections: dict[str, Exists] = {}
    for channel in Channel:
        said = Consent.objects.filter(customer=OuterRef("customer"), channel=channel)
        objections[f"refused_{channel}"] = Exists(said.filter(granted=False))
        objections[f"agreed_{channel}"] = Exists(said.filter(granted=True))
        if channel in ADDRESSES:
            bad = Suppression.objects.filter(channel=channel, address=OuterRef(f"address_{channel}"))
            objections[f"suppressed_{channel}"] = Exists(bad)
    addresses = {f"address_{channel}": column for channel, column in ADDRESSES.items()}
    return kind._default_manager.select_related("customer").annotate(**addresses).annotate(**objections)


def why(anchor: Anchor) -> list[Answer]:
    """One query for an anchor of `find` or `asked`: the oldest revision first within a rule."""
    mine = Q(**{f"deliveries__{type(anchor).__name__.lower()}": anchor})
    rules = ReminderRule.objects.annotate(mine=FilteredRelation("deliveries", condition=mine))
    of_whom = Q(anchor__in=ABOUT[type(anchor)], tenant__in={"", anchor.tenant})
    rules = rules.filter(of_whom | Q(mine__isnull=False))
    columns = ("pk", "channel", "state", "reason", "detail", "revision", "occurrence", "send_at", "sent_at", "outcome")
    rows = rules.annotate(**{f"its_{name}": F(f"mine__{name}") for name in columns})
    order = ("anchor", "offset", "pk", "mine__revision", "mine__occurrence", "mine__pk")
    ordered = rows.order_by(*order)
    answers: list[Answer] = []
    for _pk, group in groupby(ordered, key=lambda rule: rule.pk):
        answers += _of_rule(list(group), anchor)
    return answers


def _of_rule(rows: list[Any], anchor: Anchor) -> Iterator[Answer]:
    """`rows` are one rule, once for each of its deliveries, or once with none."""
    rule: ReminderRule = rows[0]
    deliveries = [row for row in rows if row.its_pk]
    for row in deliveries:
        yield Answer(
            rule=rule.name,
            channel=row.its_channel,
            state=row.its_state,
            reason=row.its_reason,
            text=_told(row, anchor),
            delivery=row.its_pk,
            revision=row.its_revision,
            occurrence=row.its_occurrence,
            send_at=row.its_send_at,
            sent_at=row.its_sent_at,
            detail=row.its_detail,
            outcome=row.its_outcome,
        )
    current = {row.its_channel for row in deliveries if row.its_revision == anchor.revision}
    for channel in rule.channels:
        if channel not in current:
            reason, text = _never_made(rule, anchor, channel, current)
            yield Answer(rule.name, channel, "none", reason, text)


def _told(row: Any, anchor: Anchor) -> str:
    """A delivery's story in a sentence."""
    state, because = State(row.its_state), Reason(row.its_reason).label if row.its_reason else ""
    detail = f" ({row.its_detail})" if row.its_detail else ""
    outdated = "" if row.its_revision == anchor.revision else ", for an earlier time"
    if state == State.SENT:
        after = f", then {row.its_outcome}" if row.its_outcome else ""
        return f"sent {_clock(row.its_sent_at)}{outdated}{after}"
    if state == State.PLANNED:
        return f"waits for {_clock(row.its_send_at)}{outdated}{detail}"
    if state == State.SKIPPED:
        return f"skipped{outdated}: {because}{detail}"
    words = {
        State.SENDING: "is being handed to the provider at this moment",
        State.REFUSED: "refused by the provider for good",
        State.IN_DOUBT: "in doubt: nobody knows whether the provider took it",
    }
    return f"{words[state]}{outdated}{detail}"


def _never_made(rule: ReminderRule, anchor: Any, channel: str, used: set[str]) -> tuple[str, str]:
    """Why there is no delivery of this rule on this channel."""
    objection = ""
    if not anchor.customer.address(channel):
        objection = Reason.NO_ADDRESS
    elif getattr(anchor, f"suppressed_{channel}", False):
        objection = Reason.SUPPRESSED
    elif getattr(anchor, f"refused_{channel}") or (reach.opt_in(channel) and not getattr(anchor, f"agreed_{channel}")):
        objection = Reason.OPTED_OUT
    if not used:
        objection = planning.unwanted(rule, anchor) or objection
    if objection:
        return str(objection), _("not planned: {reason}").format(reason=Reason(objection).label)
    if used:
        return "", _("not needed: goes by {channels}").format(channels=", ".join(sorted(used)))
    return "", str(OPEN_END)


def _clock(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"
