"""What customers want to receive, and the addresses that must not be written to.

Called by the admin, the API, the unsubscribe page and the callbacks of providers. The promise: every change keeps its
evidence (who, when, how) and replans the reminders it concerns in the same transaction; the intent fence asks both
tables again right before a provider is called.
"""

from collections.abc import Iterable
from itertools import dropwhile
from unicodedata import category, normalize

from celery import shared_task
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Lower

from jobs.durable import Durable
from notifications import outcomes, reconciler
from notifications.models import Channel, Consent, ConsentEvent, Customer, Suppression
from notifications.reach import normalised as normalised, spellings

Source, Cause = ConsentEvent.Source, Suppression.Cause

# What people write back to a text message, in the words that carriers in the US and Europe ask us to understand.
STOP = frozenset(
    [
        "STOP",
        "STOPALL",
        "UNSUBSCRIBE",
        "CANCEL",
        "END",
        "QUIT",
        "REVOKE",
        "OPTOUT",
        "STOPP",
        "ABMELDEN",
        "ARRET",
        "BAJA",
    ]
)
START = frozenset(["START", "YES", "UNSTOP", "ANMELDEN", "ALTA"])


def record(
    customer: Customer, channel: str, granted: bool | None, *, source: str, actor: str, evidence: str = ""
) -> ConsentEvent:
    """Keep what a customer said, and replan. Said twice, it is kept twice: the evidence may differ.

    None: what was said is taken back, and nothing is said any more.
    """
    channel, source = Channel(channel).value, Source(source).value
    with transaction.atomic():
        event = ConsentEvent.objects.create(
            customer=customer, channel=channel, granted=granted, source=source, actor=actor, evidence=evidence
        )
        if granted is None:
            Consent.objects.filter(customer=customer, channel=channel).delete()
        else:
            now = {"granted": granted, "changed_at": event.at}
            Consent.objects.update_or_create(customer=customer, channel=channel, defaults=now)
        reconciler.replan(customer)
    return event


def suppress(channel: str, address: str, cause: str, detail: str = "") -> bool:
    """Write nothing to this address any more, whoever has it. Returns False if that was so before."""
    address = normalised(channel, address)
    if not address:
        raise ValueError("An empty address cannot be suppressed.")
    with transaction.atomic():
        row = {"cause": Cause(cause).value, "detail": detail[:500]}
        _, new = Suppression.objects.get_or_create(channel=Channel(channel).value, address=address, defaults=row)
        if new:
            replan(channel, address)
    return new


def lift(channel: str, address: str, causes: Iterable[str] = Cause.values) -> bool:
    """Write to this address again. Returns False if it was not suppressed for one of the causes."""
    address = normalised(channel, address)
    with transaction.atomic():
        rows = Suppression.objects.filter(channel=channel, address=address, cause__in=list(causes))
        lifted, _ = rows.delete()
        if lifted:
            replan(channel, address)
    return bool(lifted)


def stop(channel: str, address: str, *, actor: str, evidence: str = "") -> int:
    """Somebody at that address said STOP: no more to it, and it counts for all who have it. Returns how many."""
    people = list(having(channel, address))
    with transaction.atomic():
        suppress(channel, address, Cause.STOP, evidence)
        for customer in people:
            record(customer, channel, False, source=Source.REPLY, actor=actor, evidence=evidence)
    return len(people)


def start(channel: str, address: str, *, actor: str, evidence: str = "") -> int:
    """Somebody at that address said START, after a STOP or not. A bounce or complaint is not lifted by it.

    Of one customer it is a yes. Where several have the address, nobody knows who of them speaks: what a STOP did to
    them is taken back and no more, so that nobody is said to have given a yes, and a no by another way stays.
    """
    people = list(having(channel, address))
    with transaction.atomic():
        lift(channel, address, [Cause.STOP])
        said = {"source": Source.REPLY, "actor": actor, "evidence": evidence}
        if len(people) == 1:
            record(people[0], channel, True, **said)
        else:
            for customer in people:
                _take_back_stop(customer, channel, said)
    return len(people)


def _take_back_stop(customer: Customer, channel: str, said: dict[str, str]) -> None:
    """As it was before, if the last that is known of the customer is such a STOP."""
    story = list(customer.consent_events.filter(channel=channel).order_by("-pk").values_list("source", "granted"))
    before = list(dropwhile(lambda event: event == (Source.REPLY, False), story))
    if len(before) < len(story):
        record(customer, channel, before[0][1] if before else None, **said)


def keyword(text: str) -> str:
    """What a reply asks for: "stop", "start", or empty. Only a word alone counts: "please don't stop" is a letter.

    However it is written: "Stop!", "OPT OUT", "arrêt", with an emoji; not with signs that turn what is seen around.
    """
    word = "".join(sign for sign in normalize("NFKD", text) if sign.isalnum() or category(sign) == "Cf").upper()
    return "stop" if word in STOP else "start" if word in START else ""


def having(channel: str, address: str) -> QuerySet[Customer]:
    """The customers with that address, in one order (their rows are locked one after the other)."""
    address = normalised(channel, address)
    which = {
        Channel.EMAIL: Q(lower_email__in=spellings(address)),
        Channel.SMS: Q(phone=address),
        Channel.WEBHOOK: Q(webhook_url=address),
        Channel.INBOX: Q(pk=address) if address.isdecimal() else Q(pk__in=()),
    }[Channel(channel)]
    return Customer.objects.alias(lower_email=Lower("email")).filter(which).order_by("pk")


def barred(customers: QuerySet[Customer]) -> QuerySet[Suppression]:
    """The suppressed addresses that one of these customers has."""
    theirs = customers.annotate(lower_email=Lower("email"))
    same = {Channel.EMAIL: "lower_email", Channel.SMS: "phone", Channel.WEBHOOK: "webhook_url"}
    known = Q(pk__in=())
    for channel, column in same.items():
        known |= Q(Exists(theirs.filter(**{column: OuterRef("address")})), channel=channel)
    return Suppression.objects.filter(known)


def replan(channel: str, address: str) -> int:
    """Plan anew for whoever has that address. Returns how many they are."""
    people = list(having(channel, address))
    for customer in people:
        reconciler.replan(customer)
    return len(people)


@shared_task(base=Durable, name=outcomes.REPLAN, internal=True)
def replan_suppressed(suppression_id: int) -> int:
    """Plan anew what went to an address that a provider has refused. Returns for how many customers."""
    found = Suppression.objects.filter(pk=suppression_id).first()
    return replan(found.channel, found.address) if found else 0  # it may have been lifted since
