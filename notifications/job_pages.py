"""What the pages of jobs know of the product: a booking's or customer's jobs, and where a job leads.

Registered by the app when it starts (`jobs.neighbours`). The promise: a search finds by whole words only, so that it
tells nobody an address that he does not know.
"""

from collections.abc import Iterator
from uuid import UUID

from django.db.models import Value
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils.translation import gettext as _

from jobs import neighbours
from jobs.ledger import Job
from notifications import privacy
from notifications.models import Booking, Customer, Delivery, Payment

TASK = "notifications.deliver"


def find(term: str) -> neighbours.Found:
    """Also a customer's address, name or external id."""
    return neighbours.Found(find_plainly(term).tags, tuple(_of_customer(term)))


def find_plainly(term: str) -> neighbours.Found:
    """A booking's number or external id, a payment's external id."""
    booked = Booking.objects.filter(external_id=term)
    if term.isascii() and term.isdigit() and len(term) < 19:
        booked |= Booking.objects.filter(pk=int(term))
    paid = Payment.objects.filter(external_id=term).values_list("pk", flat=True)
    tags = [f"booking:{pk}" for pk in booked.values_list("pk", flat=True)] + [f"payment:{pk}" for pk in paid]
    return neighbours.Found(tuple(tags))


def _of_customer(term: str) -> Iterator[UUID]:
    customers = Customer.objects.alias(lowered=Lower("email")).filter(lowered=Lower(Value(term)))
    known = set(customers.values_list("pk", flat=True)) if "@" in term else set()
    if not known:
        known |= set(Customer.objects.filter(external_id=term).values_list("pk", flat=True))
        known |= set(Customer.objects.filter(name=term).values_list("pk", flat=True)[: neighbours.MOST])
    if known:
        rows = Delivery.objects.filter(customer__in=known).order_by("-send_at")
        yield from rows.values_list("pk", flat=True)[: neighbours.MOST]


def links(job: Job) -> Iterator[tuple[str, str]]:
    """To its delivery, and the booking or payment that its tag names."""
    if job.task == TASK:
        yield _("Delivery"), reverse("admin:notifications_delivery_change", args=[job.pk])
    kind, _colon, number = job.correlation_id.partition(":")
    titles = {"booking": _("Booking %s"), "payment": _("Payment %s")}
    if kind in titles and number.isdigit():
        yield titles[kind] % number, reverse(f"admin:notifications_{kind}_change", args=[number])


def shown(text: str) -> str:
    return privacy.shown(text, privacy.text)


NEIGHBOUR = neighbours.Neighbour(
    find=find, find_plainly=find_plainly, needed="notifications.reveal_customer", links=links, shown=shown
)
