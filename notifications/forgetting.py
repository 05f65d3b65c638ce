"""Forgetting: who a customer was, once nothing is open any more; and deliveries that nobody asks about.

Registered by the app when it starts (`jobs.library.cleaners`). The promise: bookings, payments, deliveries and jobs
stay, so that figures stay true; what is gone is who it was. A customer with anything to come, anything owed or anything
in doubt is left alone, also one who books at this very moment.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobs import orders, pruner
from jobs.library.cleaners import Asked, Batches, Cleaner, in_batches
from notifications.models import (
    Booking,
    Channel,
    ConsentEvent,
    Customer,
    Delivery,
    DirectMessage,
    InboxItem,
    OutboxMessage,
    Payment,
    Trial,
)

NOBODY = "Former customer"  # stored, so it stays English
FORGOTTEN = "forgotten"  # in place of an address, of which a message has one
MONTH = timedelta(days=30)
OPEN = (Payment.Status.OPEN, Payment.Status.DISPUTED)
WORDLESS: dict[str, Any] = {
    "subject": "",
    "text": "",
    "html": "",
    "variables": {},
    "metadata": {},
    "detail": "",
    "sent_to": "",
}
LINKS = len(Channel.values) + 1  # of deliveries in place of one another, and of a digest: the most there are
OVER = (Delivery.State.SENT, Delivery.State.REFUSED, Delivery.State.SKIPPED)


def _since(before: datetime) -> Q:
    """Messages that were to go, or went, since: what was due long ago may have been sent again."""
    return Q(send_at__gte=before) | Q(sent_at__gte=before)


def forgettable(before: datetime) -> "QuerySet[Customer]":
    """Customers who are still known, and of whom nothing happened since."""
    bookings = Booking.objects.filter(customer=OuterRef("pk"))
    payments = Payment.objects.filter(customer=OuterRef("pk"))
    deliveries = Delivery.objects.filter(customer=OuterRef("pk"))
    direct = DirectMessage.objects.filter(customer=OuterRef("pk"))
    busy = (
        Exists(bookings.filter(Q(ends_at__gte=before) | Q(created_at__gte=before)))
        | Exists(payments.filter(Q(status__in=OPEN) | Q(created_at__gte=before) | Q(closed_at__gte=before)))
        | Exists(deliveries.exclude(state__in=OVER))
        | Exists(deliveries.filter(_since(before)))
        | Exists(direct.filter(~Q(state__in=OVER) | Q(created_at__gte=before) | _since(before)))
    )
    said = ConsentEvent.objects.filter(customer=OuterRef("pk"), at__gte=before)
    # Of whom there never was anything, only how long they have been written down tells.
    had = Exists(bookings) | Exists(payments) | Exists(direct) | Q(created_at__lt=before) & ~Exists(said)
    known = ~Q(name=NOBODY) | Q(email__gt="") | Q(phone__gt="") | Q(webhook_url__gt="")
    return Customer.objects.filter(known).filter(had, ~busy)


def forget(ids: list[int], before: datetime) -> int:
    """Take away who they were, and the words that were written to them. Returns of how many.

    Their rows are locked as a whole: who books for one of them waits, and finds the customer without an address.
    """
    with transaction.atomic():
        locked = Customer.objects.select_for_update().filter(pk__in=ids).order_by("pk")
        held = list(locked.values_list("pk", flat=True))
        chosen = list(forgettable(before).filter(pk__in=held).values_list("pk", flat=True))
        Customer.objects.filter(pk__in=chosen).update(
            name=NOBODY, email="", phone="", webhook_url="", webhook_secret="", external_id=None
        )
        _forget_words(chosen)
        if chosen:
            pruner.forget_answers()
        return len(chosen)


def _forget_words(customers: list[int]) -> None:
    InboxItem.objects.filter(customer__in=customers).update(title="", body="", metadata={})
    ConsentEvent.objects.filter(customer__in=customers).update(evidence="", actor="")
    of_them = Delivery.objects.filter(customer__in=customers)
    direct = DirectMessage.objects.filter(customer__in=customers)
    keys = [str(pk) for rows in (of_them, direct) for pk in rows.values_list("pk", flat=True)]
    for first in range(0, len(keys), 500):
        some = keys[first : first + 500]
        OutboxMessage.objects.filter(key__in=some).update(to="", subject="", text="", html="")
        orders.forget_reasons([UUID(key) for key in some])
    of_them.exclude(detail="", sent_to="").update(detail="", sent_to="")
    direct.update(**WORDLESS)
    _logged(Customer, customers).update(object_repr=NOBODY)
    bookings, payments = (model.objects.filter(customer__in=customers) for model in (Booking, Payment))
    for rows in (Customer.objects.filter(pk__in=customers), bookings, payments, of_them, direct):
        # Django's own words are a list of fields; what people wrote, why they did it, begins with the verb.
        _logged(rows.model, rows.values_list("pk", flat=True)).exclude(change_message__startswith="[").update(
            change_message=""
        )


def _logged(model: Any, keys: Iterable[Any]) -> "QuerySet[LogEntry]":
    about = ContentType.objects.get_for_model(model)
    return LogEntry.objects.filter(content_type=about, object_id__in=[str(key) for key in keys])


def _forget_address(rows: "QuerySet[DirectMessage]") -> None:
    """Of those who are no customers."""
    keys = list(rows.values_list("pk", flat=True))
    OutboxMessage.objects.filter(key__in=[str(pk) for pk in keys]).update(to="", subject="", text="", html="")
    orders.forget_reasons(keys)
    _logged(DirectMessage, keys).exclude(change_message__startswith="[").update(change_message="")
    DirectMessage.objects.filter(pk__in=keys).update(address=FORGOTTEN, **WORDLESS)
    if keys:
        pruner.forget_answers()


def _people(asked: Asked) -> Batches:
    def remove(keys: list[Any]) -> None:
        forget(keys, asked.before)

    for keys in in_batches(forgettable(asked.before), asked, remove):
        yield [f"customer {key}" for key in keys]
    others = DirectMessage.objects.filter(created_at__lt=asked.before, state__in=OVER, customer=None)
    others = others.exclude(_since(asked.before)).exclude(address=FORGOTTEN)
    for keys in in_batches(others, asked, lambda keys: _forget_address(others.filter(pk__in=keys))):
        yield [f"direct message {key}" for key in keys]
    tried = Trial.objects.filter(at__lt=asked.before).exclude(address="")
    for keys in in_batches(tried, asked, lambda keys: tried.filter(pk__in=keys).update(address="")):
        yield [f"trial {key}" for key in keys]


def _deliveries(asked: Asked) -> Batches:
    """Of what is over: `plan` would make those of an open booking or payment anew. Never one in doubt, nor one whose
    fallback or digest's part has to stay, however far down: it would go with it. So the last of each go first.
    """
    closed = ~Q(payment__status__in=OPEN) & ~Q(payment__closed_at__gte=asked.before)  # a bank may give it back
    anchor = Q(booking__ends_at__lt=asked.before) | (Q(payment__isnull=False) & closed)
    ended = Delivery.objects.filter(anchor, state__in=OVER).exclude(_since(asked.before))
    last = ended.filter(~Exists(Delivery.objects.filter(Q(fallback_of=OuterRef("pk")) | Q(digest=OuterRef("pk")))))

    def remove(keys: list[Any]) -> None:
        with transaction.atomic():  # somebody may be sending one of them again
            locked = Delivery.objects.select_for_update().filter(pk__in=keys).order_by("pk")
            held = list(locked.values_list("pk", flat=True))
            Delivery.objects.filter(pk__in=list(last.filter(pk__in=held).values_list("pk", flat=True))).delete()

    for _link in range(1 if asked.dry_run else LINKS):
        for keys in in_batches(ended if asked.dry_run else last, asked, remove):
            yield [f"delivery {key}" for key in (_free(keys, ended) if asked.dry_run else keys)]


def _free(keys: list[Any], ended: "QuerySet[Delivery]") -> list[Any]:
    """Of these, whom nothing follows that has to stay."""
    held: set[Any] = set()
    above = {key: {key} for key in keys}  # of each one of a level, those of `keys` that it follows
    for _link in range(LINKS):
        below: dict[Any, set[Any]] = {}
        following = Delivery.objects.filter(Q(fallback_of__in=above) | Q(digest__in=above))
        for pk, *before in following.values_list("pk", "fallback_of", "digest"):
            below[pk] = set().union(*(above.get(one, set()) for one in before))
        for pk in set(below).difference(ended.filter(pk__in=list(below)).values_list("pk", flat=True)):
            held |= below.pop(pk)
        above = below
    return [key for key in keys if key not in held]


CLEANERS = (
    Cleaner("personal_data", _people, MONTH),
    Cleaner("old_deliveries", _deliveries, MONTH),
)
