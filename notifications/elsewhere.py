"""What other systems call single messages and reports, and how their payloads are read: `jobs.aliases`.

Registered by the app when it starts. The promise: whom a message is for, and what it says, is a row and no argument
(`direct`), and it is written by the rules that hold for `/messages`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from django.core.exceptions import PermissionDenied
from pydantic import AliasChoices, Field, ValidationError

from jobs import aliases, ledger
from jobs.aliases import Ask, Meant, Reader, Theirs, checked
from jobs.durable import PayloadError, Priority
from jobs.library.people import Person
from notifications import direct, recipients, timing
from notifications.models import Channel, Customer, DirectMessage
from notifications.recipients import REVEAL, Known
from notifications.reports import periods, reports

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
        found = _to_whom(said, ask)
        wanted |= {"customer": found.pk} if found else {"address": getattr(said, "to", "")}
        wanted |= {"channel": channel}
        if channel == Channel.INBOX:
            wanted |= {"subject": wanted["subject"] or said.text[:100].partition("\n")[0]}
            wanted |= {"level": "info"} if wanted["level"] == "push" else {}
        try:
            asked = direct.Wanted.model_validate(wanted)
            looked_up = {"known": found, "words": ask.known.words, "files": ask.known.files}
            message = direct.prepared(asked, _for(ask), ask.pk, **looked_up)
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


def _to_whom(said: Any, ask: Ask) -> Customer | None:
    """A customer of the tenant where there is one, since that asks for their consent; None: the address."""
    known: Known = ask.known
    to = getattr(said, "to", "")
    if said.customer is not None:
        found = known.named(ask.tenant, str(said.customer))
        if found is not None:
            return found
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
    return known.at(ask.tenant, to)


def _gatherer(shape: type[Message], channel: Channel) -> aliases.Gather:
    """What the reader of that shape asks, for all payloads at once; what is no such payload it refuses itself."""

    def gather(calls: Sequence[tuple[dict[str, Any], str]], person: Person) -> Known:
        said = []
        for data, tenant in calls:
            with suppress(ValidationError):
                said.append((shape.model_validate(data), tenant))
        return recipients.gathered(channel, said, person)

    return gather


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


NAMES: list[tuple[type[Message], Channel, tuple[str, ...]]] = [
    (Email, Channel.EMAIL, ("EMAIL_SEND", "email.send", "send_email", "email_notification")),
    (Welcome, Channel.EMAIL, ("send-welcome",)),
    (Sms, Channel.SMS, ("SMS_SEND", "sms.send", "send_sms", "sms_notification")),
    (Notice, Channel.INBOX, ("USER_NOTIFICATION", "user.notification", "send-notification")),
]
TASKS = {Channel.EMAIL: "send_email", Channel.SMS: "send_sms", Channel.INBOX: "notify"}


def register() -> None:
    """Called once, by the app registry."""
    for shape, channel, names in NAMES:
        task, read = f"notifications.{TASKS[channel]}", _reader(shape, channel)
        aliases.register(task, *names, reads=read, gathers=_gatherer(shape, channel))
    aliases.register("notifications.mail_report", "REPORT_GENERATE", "report_generation", reads=_report)
