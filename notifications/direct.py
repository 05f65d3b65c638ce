"""Single messages: `write` keeps what is to be said, and `notifications.send_email`, `send_sms` and `notify` send it.

Called by the API, the admin and application code. The message is a row and its job has the same id, so that arguments
hold nothing personal, and sending twice under one id is sending once. The promise is that of a delivery: handed to
its provider at most once unless the channel's policy says otherwise, and what nobody knows is told as a doubt.
"""

import re
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from celery import shared_task
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from jobs import ledger
from jobs.durable import AWAY, Durable, Priority
from jobs.ids import new_id
from jobs.library.downloads import Files
from jobs.library.people import Person
from notifications import attachments, direct_sending, direct_words, trials, wording
from notifications.channels.base import Busy, Refused, Unknown
from notifications.models import Channel, Customer, DirectMessage, InboxItem

PERMISSION = "notifications.send_directmessage"
NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
Value = str | int | bool | None


class Wanted(BaseModel):
    """To whom (a customer's id, or an address), what (a template's name, or words in Liquid), and how."""

    model_config = ConfigDict(extra="forbid")

    channel: Channel
    customer: int | None = None
    address: Annotated[str, Field(max_length=500)] = ""
    template: Annotated[str, Field(max_length=100)] = ""
    subject: Annotated[str, Field(max_length=500)] = ""
    text: Annotated[str, Field(max_length=100_000)] = ""
    html: Annotated[str, Field(max_length=100_000)] = ""
    variables: dict[str, Value] = Field(default_factory=dict)
    attachments: Annotated[list[UUID], Field(max_length=10)] = Field(default_factory=list)
    level: InboxItem.Level = InboxItem.Level.INFO
    metadata: dict[str, Value] = Field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    send_at: AwareDatetime | None = None
    useful_for: timedelta | None = None  # seconds, or ISO 8601; empty: until it is sent

    @model_validator(mode="after")
    def _whole(self) -> "Wanted":
        if (self.customer is None) == (not self.address):
            raise ValueError("Name a customer or an address, and not both.")
        if bool(self.template) == bool(self.text):
            raise ValueError("Name a template or write a text, and not both.")
        if self.channel in (Channel.INBOX, Channel.WEBHOOK) and self.customer is None:
            raise ValueError("An inbox and a webhook belong to a customer: name one.")
        if self.channel == Channel.WEBHOOK:
            raise ValueError("Webhooks are for programs and tell of bookings and payments; write by another channel.")
        if self.attachments and self.channel != Channel.EMAIL:
            raise ValueError("Only an email has attachments.")
        if wrong := [name for name in self.variables if not NAME.fullmatch(name) or name in direct_words.OURS]:
            raise ValueError(f"No variable can be called {wrong[0]!r}: take small letters, and no name of ours.")
        if self.useful_for is not None and self.useful_for <= timedelta():
            raise ValueError("A message is of use for more than no time.")
        return self


def write(wanted: Wanted, person: Person, *, pk: UUID | None = None) -> DirectMessage:
    """Keep the message and enqueue its job, in the caller's transaction. With `pk` the second call finds the first.

    Raises as `prepared`.
    """
    return kept(wanted, person, pk=pk)[0]


def kept(wanted: Wanted, person: Person, *, pk: UUID | None = None) -> tuple[DirectMessage, bool]:
    """As `write`. Also whether it is new: if not, it may say something else than `wanted`."""
    message = prepared(wanted, person, pk or new_id())
    job = TASKS[Channel(message.channel)].job(
        (message.pk,),
        task_id=message.pk,
        eta=wanted.send_at,
        priority=wanted.priority,
        tenant=message.tenant,
        correlation_id=f"customer:{wanted.customer}" if wanted.customer else "",
    )
    with transaction.atomic():
        new = _inserted(message)
        ledger.enqueue(job)
    return DirectMessage.objects.get(pk=message.pk), new


def _inserted(message: DirectMessage) -> bool:
    """False: there is one of that id."""
    try:
        with transaction.atomic():
            message.save(force_insert=True)
    except IntegrityError:
        if not DirectMessage.objects.filter(pk=message.pk).exists():
            raise
        return False
    return True


def prepared(
    wanted: Wanted,
    person: Person,
    pk: UUID,
    *,
    known: Customer | None = None,
    words: direct_words.Find = wording.words,
    files: Files | None = None,
) -> DirectMessage:
    """The row, not yet inserted. `known` is the customer, where the caller has looked, as for the `files`.

    `words` finds those of a template.

    Raises ValueError for a recipient or words that there are not, PermissionDenied for whoever may not.
    """
    insist(person)
    customer = known if known and known.pk == wanted.customer else _customer(wanted.customer, person)
    tenant = customer.tenant if customer else person.tenant
    if person.scope.tenants is not None and tenant not in person.scope.tenants:
        raise PermissionDenied("Say for which of your tenants this message is.")
    now = timezone.now()
    message = DirectMessage(
        pk=pk,
        tenant=tenant,
        channel=wanted.channel.value,
        customer=customer,
        address=trials.checked(wanted.channel, wanted.address) if wanted.address else "",
        message=wanted.template,
        subject=wanted.subject,
        text=wanted.text,
        html=wanted.html,
        variables=wanted.variables,
        attachments=attachments.allowed(wanted.attachments, person, tenant, wanted.send_at or now, files),
        level=wanted.level.value,
        metadata=wanted.metadata,
        by=person.name[:150],
        user_id=person.user_id,
        send_at=wanted.send_at or now,
        useful_until=(wanted.send_at or now) + wanted.useful_for if wanted.useful_for else None,
    )
    direct_words.check(message, words)
    return message


def insist(person: Person) -> None:
    """Raises PermissionDenied for who may not write at all: before anybody is looked up, for the answer would tell."""
    if not person.may(PERMISSION):
        raise PermissionDenied(f"Writing to a single recipient needs the permission {PERMISSION}.")


def _customer(pk: int | None, person: Person) -> Customer | None:
    found = None if pk is None else person.scope.of_tenants(Customer.objects.filter(pk=pk)).first()
    if pk is not None and found is None:
        raise ValueError(f"There is no customer {pk}.")
    return found


OPTIONS: dict[str, Any] = {
    "base": Durable,
    "bind": True,
    "internal": True,  # the message is written first, see `write`
    "queue": "messages",
    "autoretry_for": (Busy, *AWAY),
    "throws": (Busy, Refused, Unknown),
    "max_retries": 50,
    "retry_backoff": 5,
    "retry_backoff_max": 900,
    "soft_time_limit": 60,
    "time_limit": 75,  # guarantees.REQUEST
}


@shared_task(name="notifications.send_email", **OPTIONS)
def send_email(self: Durable, message: UUID) -> str:
    """Send one email now, unless it may not go any more. Returns the message's state."""
    return direct_sending.send(self, message, Channel.EMAIL)


@shared_task(name="notifications.send_sms", **OPTIONS)
def send_sms(self: Durable, message: UUID) -> str:
    """The same by SMS."""
    return direct_sending.send(self, message, Channel.SMS)


@shared_task(name="notifications.notify", **OPTIONS)
def notify(self: Durable, message: UUID) -> str:
    """The same in the customer's app."""
    return direct_sending.send(self, message, Channel.INBOX)


TASKS: dict[Channel, Any] = {Channel.EMAIL: send_email, Channel.SMS: send_sms, Channel.INBOX: notify}
