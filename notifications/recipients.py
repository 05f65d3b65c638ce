"""Whom payloads of other systems mean, and in which words: looked up once for all calls of a request.

Made by `elsewhere`. The promise: a fixed number of statements, however many messages, and only of the tenants that
they are for; who may not write, or not see addresses, has nobody looked up, since the answer would tell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Min, Q
from django.db.models.functions import Lower

from jobs.library.downloads import Files
from jobs.library.people import Person
from notifications import direct, wording
from notifications.models import Channel, Customer, MessageTemplate

REVEAL = "notifications.reveal_customer"


@dataclass(frozen=True)
class Meant:
    """What a payload names."""

    tenant: str
    customer: str  # our number or theirs; empty: none
    to: str  # an address; empty: none
    template: str
    files: Sequence[UUID] = ()  # that it attaches


class Known:
    def __init__(self, channel: Channel, meant: Sequence[Meant], person: Person) -> None:
        """Six statements at most."""
        self._channel = channel
        self._theirs: dict[tuple[str, str], Customer] = {}
        self._ours: dict[tuple[str, int], Customer] = {}
        self._at: dict[tuple[str, str], int] = {}
        self._templates: list[MessageTemplate] = []
        self.files = Files(())
        if person.may(direct.PERMISSION):
            self._named(meant)
            if person.may(REVEAL):
                self._addressed(meant)
            self._templates = self._written(meant)
            self.files = Files(pk for one in meant for pk in one.files)

    def named(self, tenant: str, name: str) -> Customer | None:
        """The tenant's customer of that id: theirs first, then ours."""
        number = _number(name)
        return self._theirs.get((tenant, name)) or (None if number is None else self._ours.get((tenant, number)))

    def at(self, tenant: str, to: str) -> Customer | None:
        """The one customer of the tenant who has the address; None where several share it."""
        pk = self._at.get((tenant, self._plain(to)))
        return None if pk is None else self._ours.get((tenant, pk))

    def words(self, message: str, channel: str, locale: str, tenant: str) -> wording.Words:
        """As `wording.words`."""
        return wording.words(message, channel, locale, tenant, among=self._templates)

    def _named(self, meant: Iterable[Meant]) -> None:
        names = {one.customer for one in meant if one.customer}
        if names:
            numbers = {number for name in names if (number := _number(name)) is not None}
            tenants = {one.tenant for one in meant}
            self._keep(Customer.objects.filter(Q(external_id__in=names) | Q(pk__in=numbers), tenant__in=tenants))

    def _addressed(self, meant: Iterable[Meant]) -> None:
        places = {self._plain(one.to) for one in meant if one.to}
        if not places or self._channel == Channel.INBOX:
            return
        column = Lower("email") if self._channel == Channel.EMAIL else F("phone")
        tenants = {one.tenant for one in meant}
        rows = Customer.objects.annotate(place=column).filter(place__in=places, tenant__in=tenants)
        one_of = rows.values("tenant", "place").annotate(pk_=Min("pk"), number=Count("pk")).filter(number=1).order_by()
        self._at = {(row["tenant"], self._plain(str(row["place"]))): row["pk_"] for row in one_of}
        missing = set(self._at.values()) - {customer.pk for customer in self._ours.values()}
        if missing:
            self._keep(Customer.objects.filter(pk__in=missing))

    def _written(self, meant: Iterable[Meant]) -> list[MessageTemplate]:
        names, tenants = {one.template for one in meant if one.template}, {one.tenant for one in meant}
        return list(MessageTemplate.objects.filter(message__in=names, tenant__in=tenants | {""})) if names else []

    def _keep(self, customers: Iterable[Customer]) -> None:
        for customer in customers:
            self._ours[customer.tenant, customer.pk] = customer
            if customer.external_id:
                self._theirs[customer.tenant, customer.external_id] = customer

    def _plain(self, to: str) -> str:
        return to.strip().lower() if self._channel == Channel.EMAIL else to.strip()


def _number(name: str) -> int | None:
    return int(name) if name.isdecimal() and len(name) < 19 else None


def gathered(channel: Channel, said: Iterable[tuple[Any, str]], person: Person) -> Known:
    """For payloads in their shape, each with its tenant."""
    meant = [
        Meant(
            tenant=tenant,
            customer="" if one.customer is None else str(one.customer),
            to=getattr(one, "to", ""),
            template=one.template,
            files=getattr(one, "attachments", ()),
        )
        for one, tenant in said
    ]
    return Known(channel, meant, person)
