"""What became of every reminder of a booking or payment, for its page: also of those that were never planned, and why.

The promise: two queries for all of it (see `why`), and whoever may not know addresses reads none in what machines said.
"""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from notifications import privacy, why
from notifications.admin.clocks import at_customer, at_venue
from notifications.admin.masking import may_reveal
from notifications.models import Booking, Channel, Delivery, DirectMessage, Payment

# The theme's labels.
LOOKS = {"planned": "info", "sending": "warning", "sent": "success", "refused": "danger", "in_doubt": "warning"}
OUTCOMES = {"delivered": "success", "bounced": "danger", "complained": "danger", "failed": "danger"}


@dataclass(frozen=True)
class Line:
    rule: str
    channel: str
    state: str
    look: str
    why: str  # the reason, in words
    detail: str
    at: str  # by the venue's clocks
    at_customer: str  # empty if it is the same
    outcome: str
    outcome_look: str
    occurrence: int
    outdated: bool  # of an earlier time of the booking
    delivery: str  # address of its page
    job: str


def story(request: HttpRequest, kind: type[Booking] | type[Payment], pk: Any) -> list[Line]:
    """Empty if there is no such row."""
    anchor = why.asked(kind).filter(pk=pk).first()
    if anchor is None:
        return []
    answers = sorted(why.why(anchor), key=lambda answer: answer.delivery is None)  # those that there are first
    return [_line(request, answer, anchor) for answer in answers]


def happened(request: HttpRequest, message: Delivery | DirectMessage) -> dict[str, Any]:
    """For `happened.html`: what our rows, and its provider, tell of one message, in order."""
    job = reverse("admin:jobs_job_change", args=[message.pk]) if request.user.has_perm("jobs.view_job") else ""
    events = message.events.order_by("at", "pk")
    return {"row": message, "events": events, "job": job, "look": LOOKS.get(message.state)}


def _line(request: HttpRequest, answer: why.Answer, anchor: Any) -> Line:
    moment = answer.sent_at or answer.send_at
    none = answer.delivery is None
    reason = Delivery.Reason(answer.reason).label if answer.reason else ""
    return Line(
        rule=answer.rule,
        channel=str(Channel(answer.channel).label),
        state="" if none else str(Delivery.State(answer.state).label),
        look=LOOKS.get(answer.state, ""),
        why=answer.text if none else str(reason),
        detail=answer.detail if may_reveal(request) else privacy.text(answer.detail),
        at=at_venue(moment, anchor) if moment else "",
        at_customer=at_customer(moment, anchor) if moment else "",
        outcome=str(Delivery.Outcome(answer.outcome).label) if answer.outcome else "",
        outcome_look=OUTCOMES.get(answer.outcome, ""),
        occurrence=answer.occurrence,
        outdated=answer.revision is not None and answer.revision != anchor.revision,
        delivery=_link(request, "notifications_delivery", answer.delivery),
        job=_link(request, "jobs_job", answer.delivery),
    )


def _link(request: HttpRequest, page: str, pk: Any) -> str:
    """Empty for those who may not see it."""
    app, name = page.split("_")
    if pk is None or not request.user.has_perm(f"{app}.view_{name}"):
        return ""
    return reverse(f"admin:{page}_change", args=[pk])
