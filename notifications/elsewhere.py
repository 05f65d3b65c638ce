"""What other systems call single messages and reports, and how their payloads are read: `jobs.aliases`.

Registered by the app when it starts. The promise: whom a message is for, and what it says, is a row and no argument
(`direct`), and it is written by the rules that hold for `/messages`.
"""

from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from django.core.exceptions import PermissionDenied
from pydantic import AliasChoices, Field, ValidationError

from jobs import aliases, ledger
from jobs.aliases import Ask, Meant, Reader, Theirs, checked
from jobs.durable import PayloadError, Priority
from jobs.library.people import Person
from notifications import direct, timing
from notifications.models import Channel, Customer, DirectMessage
from notifications.reports import periods, reports

REVEAL = "notifications.reveal_customer"
Id = str | int


class Message(Theirs):
    """The customer by our number or theirs (external_id), or an address."""

    customer: Id | None = Field(None, validation_alias=AliasChoices("userId", "customerId", "customer"))
    text: str = Field("", validation_alias=AliasChoices("body", "message", "text"))
    template: str = Field("", validation_alias=AliasChoices("templateId", "template"))
    variables: dict[str, direct.Value] = {}
    priority: Literal["low", "normal", "high", "urgent"] | None = None


class Email(Message):
    to: str = Field("", validation_alias=AliasChoices("to", "email", "customerEmail"))
    subject: str = ""
    html: str = ""
    attachments: list[UUID] = []  # ids of stored files; paths are none


class Welcome(Email):
    template: str = Field("welcome", validation_alias=AliasChoices("templateId", "template"))


class Sms(Message):
    to: str = Field("", validation_alias=AliasChoices("to", "phone", "customerPhone"))


class Notice(Message):
    subject: str = Field("", validation_alias=AliasChoices("title", "subject"))
    level: Literal["info", "warning", "error", "success", "push"] = Field(
        "info", validation_alias=AliasChoices("type", "level")
    )
    metadata: dict[str, direct.Value] = {}


def _reader(shape: type[Message], channel: Channel) -> Reader:
    def read(data: dict[str, Any], ask: Ask) -> Meant:
        direct.insist(ask.person)
        said = checked(shape, data, f"notifications.{direct.TASKS[channel].name.rpartition('.')[2]}")
        wanted = said.model_dump(exclude={"to", "customer", "priority"}, mode="json")
        wanted |= _to_whom(said, channel, ask) | {"channel": channel}
        if channel == Channel.INBOX:
            wanted |= {"subject": wanted["subject"] or said.text[:100].partition("\n")[0]}
            wanted |= {"level": "info"} if wanted["level"] == "push" else {}
        try:
            message = direct.prepared(direct.Wanted.model_validate(wanted), _for(ask), ask.pk)
        except ValidationError as exc:
            raise PayloadError(str(exc.errors()[0]["msg"]).removeprefix("Value error, ")) from None
        except ValueError as exc:
            raise PayloadError(str(exc)) from None
        level = Priority.of(said.priority) if said.priority else None
        return Meant({"message": ask.pk}, _due(message), level)

    return read


def _for(ask: Ask) -> Person:
    person = ask.person
    return Person(person.name, person.may, person.scope, person.user_id, ask.tenant)


def _due(message: DirectMessage) -> Callable[[ledger.Job], list[DirectMessage]]:
    """It goes when its job runs, and is of use for as long."""

    def rows(job: ledger.Job) -> list[DirectMessage]:
        message.send_at, message.useful_until = job.run_at, job.useful_until
        return [message]

    return rows


def _to_whom(said: Any, channel: Channel, ask: Ask) -> dict[str, Any]:
    """A customer of the tenant where there is one, since that asks for their consent; else the address."""
    theirs = Customer.objects.filter(tenant=ask.tenant)
    to = getattr(said, "to", "")
    if said.customer is not None:
        found = theirs.filter(external_id=str(said.customer)).first()
        if found is None and str(said.customer).isdecimal() and len(str(said.customer)) < 19:
            found = theirs.filter(pk=int(said.customer)).first()
        if found is not None:
            return {"customer": found.pk}
        if not to:
            why = f"Argument customer: the tenant {ask.tenant!r} has no customer {said.customer!r}."
            raise PayloadError(why, "customer")
        said.variables.setdefault("user_id", str(said.customer))
    if not to:
        raise PayloadError(
            "Argument customer: say to whom, by customer (ours or your own id) or by address.", "customer"
        )
    if not ask.person.may(REVEAL):  # also where it is a customer's: who may not see addresses would learn whose it is
        raise PermissionDenied(f"Writing to an address needs the permission {REVEAL}; name a customer.")
    column = "email__iexact" if channel == Channel.EMAIL else "phone"
    known = list(theirs.filter(**{column: to.strip()})[:2])
    if len(known) == 1:
        return {"customer": known[0].pk}
    return {"address": to}


class Generated(Theirs):
    kind: periods.Kind = Field("day", validation_alias=AliasChoices("period", "reportType", "kind"))
    zone: str = Field("UTC", validation_alias=AliasChoices("timezone", "zone"))
    language: reports.Language = Field("en", validation_alias=AliasChoices("locale", "language"))
    users: list[int] = []


def _report(data: dict[str, Any], ask: Ask) -> Meant:
    if not ask.person.may(reports.ASK) or not reports.covers(ask.person.scope, ask.tenant):
        raise PermissionDenied(f"This report needs the permission {reports.ASK}, for all that it counts.")
    said = checked(Generated, data, "notifications.mail_report")
    try:
        timing.zone(said.zone)
    except ValueError as exc:
        raise PayloadError(f"Argument zone: {exc}", "zone") from None
    users = said.users or ([ask.person.user_id] if ask.person.user_id else [])
    if not users:
        raise PayloadError("Argument users: name the ids of the staff who get it by mail.", "users")
    return Meant(said.model_dump() | {"users": users, "tenant": ask.tenant})


def register() -> None:
    """Called once, by the app registry."""
    email, sms, inbox = (f"notifications.{name}" for name in ("send_email", "send_sms", "notify"))
    read = _reader(Email, Channel.EMAIL)
    aliases.register(email, "EMAIL_SEND", "email.send", "send_email", "email_notification", reads=read)
    aliases.register(email, "send-welcome", reads=_reader(Welcome, Channel.EMAIL))
    aliases.register(sms, "SMS_SEND", "sms.send", "send_sms", "sms_notification", reads=_reader(Sms, Channel.SMS))
    read = _reader(Notice, Channel.INBOX)
    aliases.register(inbox, "USER_NOTIFICATION", "user.notification", "send-notification", reads=read)
    aliases.register("notifications.mail_report", "REPORT_GENERATE", "report_generation", reads=_report)
