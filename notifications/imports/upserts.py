"""Writing rows: bookings and payments are made, moved, cancelled and planned, a chunk at a time.

Called by `imports` within its transaction. The promise: the number of statements does not depend on the number of
rows, a row that says what is stored writes nothing, and what is cancelled or over here is not brought back unasked.
"""

from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Generic

from django.db import models
from django.utils import timezone

from notifications import bookings, payments, reminders
from notifications.imports import customers
from notifications.imports.outcomes import Outcome, tally
from notifications.imports.rows import AnyRow, BadRow, BookingRow, PaymentRow
from notifications.models import Booking, Customer, Payment

CANCELLED = "cancelled"  # of bookings and payments alike


class Upsert(ABC, Generic[AnyRow]):
    """Writes one chunk. What bookings and payments have in common."""

    model: type[Booking] | type[Payment]
    open: str
    fields: tuple[str, ...]
    moving: tuple[str, ...]  # once one of these changes, a reminder of before must not go out any more

    def __init__(self, outcome: Outcome, *, reopen: bool, tenant: str) -> None:
        self.outcome = outcome
        self.reopen = reopen
        self.tenant = tenant  # of all its rows: ids and addresses of other tenants mean nobody here

    @abstractmethod
    def columns(self, row: AnyRow, known: Any, customer: Customer) -> dict[str, Any]:
        """The columns that the row asks for."""

    def write(self, rows: list[AnyRow]) -> None:
        if not rows:
            return
        # Bookings before customers, as everywhere: the other way round we would deadlock with a reschedule.
        known = self._stored([row.external_id for row in rows])
        people, made, changed = customers.upsert([row.customer for row in rows], self.tenant)
        self.outcome.customers += Counter({"created": made, "changed": changed})
        new, touched = [], []
        for row, customer in zip(rows, people, strict=True):
            found = known.get(row.external_id)
            if found is None:
                known[row.external_id] = self._create(row, customer)
                new.append(known[row.external_id])
            elif self._update(row, found, customer):
                touched.append(found)
        manager: models.Manager[Any] = self.model._default_manager
        manager.bulk_create(sorted(new, key=lambda made: str(made.external_id)))  # in one order: no deadlock
        manager.bulk_create(touched, update_conflicts=True, unique_fields=["id"], update_fields=self.fields)
        self.outcome.deliveries += tally(reminders.plan(list(known.values())))

    def _stored(self, ids: list[str]) -> dict[str, Any]:
        """The rows that exist, locked. no_key: deliveries that refer to them need not wait."""
        rows = self.model._default_manager.select_for_update(of=("self",), no_key=True).select_related("customer")
        return {
            str(found.external_id): found
            for found in rows.filter(tenant=self.tenant, external_id__in=ids).order_by("pk")
        }

    def _create(self, row: AnyRow, customer: Customer) -> Any:
        created = self.model(tenant=self.tenant, external_id=row.external_id, **self.columns(row, None, customer))
        self.outcome.record(row.line, row.external_id, "created", str(created))
        return created

    def _update(self, row: AnyRow, found: Any, customer: Customer) -> bool:
        """Make a stored row what the file says. Returns whether it has to be written."""
        was, before = found.status, str(found)
        reopened = was == CANCELLED and row.status == self.open and self.reopen
        if was != self.open and not reopened:
            self.outcome.record(row.line, row.external_id, "unchanged" if row.status == was else "left", was)
            return False
        wanted = {"status": CANCELLED} if row.status == CANCELLED else self.columns(row, found, customer)
        differing = [name for name, value in wanted.items() if _differs(found, name, value)]
        for name, value in wanted.items():
            setattr(found, name, value)
        if differing:
            self.changed(found, moved=bool(set(differing) & set(self.moving)))
        if "status" in differing:
            found.closed_at = None if found.status == self.open else timezone.now()
        if row.status == CANCELLED:
            self.outcome.record(row.line, row.external_id, "cancelled")
        elif reopened:
            self.outcome.record(row.line, row.external_id, "reopened", ", ".join(differing))
        elif self.moving[0] in differing:
            self.outcome.record(row.line, row.external_id, "moved", f"from {before} to {found}")
        else:
            self.outcome.record(
                row.line, row.external_id, "changed" if differing else "unchanged", ", ".join(differing)
            )
        return bool(differing)

    def changed(self, found: Any, *, moved: bool) -> None:
        """What else goes with a change of a stored row."""
        if moved:
            found.revision += 1
            found.moved_at = timezone.now()


def _differs(found: Any, name: str, value: Any) -> bool:
    if isinstance(value, models.Model):
        return bool(getattr(found, f"{name}_id") != value.pk)
    return bool(getattr(found, name) != value)


class Bookings(Upsert[BookingRow]):
    model = Booking
    open = Booking.Status.BOOKED
    fields = (
        *("customer", "service", "location", "status", "revision", "moved_at", "closed_at"),
        *("sequence", "confirmed_at"),
        *("wall_date", "wall_time", "fold", "time_zone", "starts_at", "ends_at"),
    )
    moving = ("starts_at", "customer")

    def columns(self, row: BookingRow, known: Booking | None, customer: Customer) -> dict[str, Any]:
        zone = row.time_zone or (known.time_zone if known else customer.time_zone)
        asked = {
            "customer": customer,
            "service": row.service,
            "status": row.status or (known.status if known else self.open),
            **bookings.schedule(row.starts_at, row.ends_at, zone),
        }
        return asked if row.location is None else {**asked, "location": row.location}

    def changed(self, found: Booking, *, moved: bool) -> None:
        """As `bookings.reschedule` and `change`: calendars want a higher number, and a new time is not confirmed."""
        super().changed(found, moved=moved)
        found.sequence += 1
        if moved:
            found.confirmed_at = None


class Payments(Upsert[PaymentRow]):
    model = Payment
    open = Payment.Status.OPEN
    fields = (
        *("customer", "booking", "subject", "amount", "paid_amount", "currency"),
        *("due_on", "time_zone", "status", "revision", "moved_at", "closed_at"),
    )
    moving = ("due_on", "customer")

    def write(self, rows: list[PaymentRow]) -> None:
        wanted = {row.booking_external_id for row in rows if row.booking_external_id}
        rows_of = Booking.objects.filter(tenant=self.tenant, external_id__in=wanted)
        self._bookings = {booking.external_id: booking for booking in rows_of}
        good = []
        for row in rows:
            if row.booking_external_id and row.booking_external_id not in self._bookings:
                reason = f"there is no booking {row.booking_external_id!r}; import the bookings first"
                self.outcome.refuse(BadRow.because(row.line, "booking_external_id", reason, row.cells))
            else:
                good.append(row)
        super().write(good)

    def columns(self, row: PaymentRow, known: Payment | None, customer: Customer) -> dict[str, Any]:
        paid = max(row.paid or 0, known.paid_amount if known else 0)
        if row.status == Payment.Status.PAID and row.paid is None:
            paid = max(paid, row.amount)
        settled = row.status == Payment.Status.PAID or (paid >= row.amount and row.status != CANCELLED)
        status = Payment.Status.PAID if settled else row.status or (known.status if known else self.open)
        asked = {
            "customer": customer,
            "subject": row.subject,
            "due_on": row.due_on,
            "time_zone": row.time_zone or (known.time_zone if known else customer.time_zone),
            "paid_amount": paid,
            "status": status,
            **payments.money(row.amount, row.currency),
        }
        return {**asked, "booking": self._bookings[row.booking_external_id]} if row.booking_external_id else asked
