"""Customers of imported rows: found, made and brought up to date, many with a few statements.

Called by `imports`, once per chunk and within its transaction. The promise: one person in the file is one customer,
and what a file does not say about them stays as it is stored.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower

from notifications.imports.rows import Person
from notifications.models import Customer

FIELDS = ("external_id", "name", "email", "phone", "locale", "time_zone")


def upsert(people: Sequence[Person], tenant: str = "") -> tuple[list[Customer], int, int]:
    """The tenant's customer of each person, in their order; how many were made, and how many changed.

    Someone is found by their external id, else by e-mail address in any case. Where two rows contradict each other
    the later one wins.
    """
    book = _AddressBook(people, tenant)
    before = {customer.pk: _snapshot(customer) for customer in book.found}
    customers = [book.customer(person) for person in people]
    changed = [customer for customer in book.found if _snapshot(customer) != before[customer.pk]]
    # In one order, or two imports of the same people could deadlock.
    Customer.objects.bulk_create(sorted(book.made, key=lambda customer: customer.external_id or ""))
    Customer.objects.bulk_create(changed, update_conflicts=True, unique_fields=["id"], update_fields=FIELDS)
    return customers, len(book.made), len(changed)


def _snapshot(customer: Customer) -> list[str]:
    return [str(getattr(customer, name)) for name in FIELDS]


class _AddressBook:
    """The stored customers that a chunk may mean, locked, and those it adds."""

    def __init__(self, people: Sequence[Person], tenant: str) -> None:
        self._tenant = tenant
        ids = {person.external_id for person in people if person.external_id}
        emails = {person.email.lower() for person in people if person.email}
        # no_key: new bookings and deliveries of these customers need not wait, and cannot deadlock with us
        rows = Customer.objects.select_for_update(no_key=True).alias(lower=Lower("email")).order_by("pk")
        self.found = list(rows.filter(Q(external_id__in=ids) | Q(lower__in=emails), tenant=tenant))
        self.made: list[Customer] = []
        self._by_id: dict[str, Customer] = {}
        self._by_email: dict[str, list[Customer]] = defaultdict(list)
        for customer in self.found:
            self._enter(customer)

    def customer(self, person: Person) -> Customer:
        customer = self._find(person)
        if customer is None:
            customer = Customer(tenant=self._tenant, name=person.email)  # a calendar may know no more
            self.made.append(customer)
        self._update(customer, person)
        self._enter(customer)
        return customer

    def _find(self, person: Person) -> Customer | None:
        if person.external_id in self._by_id:
            return self._by_id[person.external_id]
        for customer in self._by_email[person.email.lower()] if person.email else []:
            # Somebody with another id may share the mailbox: a family is not one customer.
            if not person.external_id or not customer.external_id:
                return customer
        return None

    def _update(self, customer: Customer, person: Person) -> None:
        told: dict[str, Any] = {name: getattr(person, name) for name in FIELDS if getattr(person, name)}
        if person.email.lower() == customer.email.lower():
            told.pop("email", None)  # the same address in another spelling
        for name, value in told.items():
            setattr(customer, name, value)

    def _enter(self, customer: Customer) -> None:
        if customer.external_id:
            self._by_id[customer.external_id] = customer
        if customer.email and customer not in self._by_email[customer.email.lower()]:
            self._by_email[customer.email.lower()].append(customer)
