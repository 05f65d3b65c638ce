"""What the demo does to its bookings and payments while their reminders go out: cancel, move, pay, break something.

Used by demo.py. The changes go through the application's own functions; what their receipts promise is kept
as withdrawals, for the verdict to hold against the mails.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.db.models import QuerySet
from django.utils import timezone

from config.demo.verdict import Withdrawal
from notifications import bookings, payments
from notifications.bookings import Receipt
from notifications.models import Booking, Delivery, Payment

AHEAD = timedelta(seconds=1.5)  # what is due sooner may be on its way before we are done
MOVED_BY = 0.3  # of the demo's length: the new time comes within it too


class Story:
    """Acts at fractions of the demo's length. `told` says what was done, for people."""

    def __init__(self, began_at: datetime, length: timedelta, *, kill: Callable[[str], None] | None = None) -> None:
        self.began_at, self.length = began_at, length
        self.ends_at = began_at + length
        self.told: list[tuple[datetime, str]] = []
        self.withdrawals: list[Withdrawal] = []
        self.missing: list[str] = []  # acts for which there was nothing to act upon
        self._touched: set[int] = set()
        self._acts: list[tuple[float, Callable[[], None]]] = [(0.1, self._cancel), (0.2, self._move), (0.45, self._pay)]
        if kill:
            self._acts.append((0.63, partial(self._kill, kill)))

    @property
    def over(self) -> bool:
        return not self._acts

    def go_on(self, now: datetime) -> None:
        """Do what it is time for."""
        while self._acts and now >= self.began_at + self._acts[0][0] * self.length:
            _, act = self._acts.pop(0)
            act()

    def tell(self, text: str) -> None:
        self.told.append((timezone.now(), text))

    # --- The acts --------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        booking = self._next_booking()
        if booking is None:
            self.missing.append("no booking was cancelled: none had a reminder due")
            return
        receipt = bookings.cancel(booking)
        self._keep(f"{_named(booking)} was cancelled", booking.deliveries.all(), receipt)

    def _move(self) -> None:
        booking = self._next_booking()
        if booking is None:
            self.missing.append("no booking was moved: none had a reminder due")
            return
        by = timedelta(seconds=round((MOVED_BY * self.length).total_seconds()))
        receipt = bookings.reschedule(booking, starts_at=booking.starts_at + by, ends_at=booking.ends_at + by)
        old = booking.deliveries.filter(revision__lt=booking.revision)
        self._keep(f"{_named(booking)} was moved by {by.total_seconds():.0f} s", old, receipt)

    def _pay(self) -> None:
        found = self._waiting().filter(payment__isnull=False).first()
        if found is None or found.payment is None:
            self.missing.append("no payment was marked paid: none had a reminder planned")
            return
        receipt = payments.mark_paid(found.payment)
        self._keep(f"{_named(found.payment)} was paid", found.payment.deliveries.all(), receipt)

    def _kill(self, kill: Callable[[str], None]) -> None:
        kill("worker")
        self.tell("the worker was killed (kill -9); what is due waits for the next one")

    def _next_booking(self) -> Booking | None:
        due = self._waiting().filter(booking__isnull=False, send_at__lt=self.ends_at)
        found = due.exclude(booking__in=self._touched).first()
        if found is None or found.booking is None:
            return None
        self._touched.add(found.booking.pk)
        return found.booking

    def _waiting(self) -> QuerySet[Delivery]:
        soon = Delivery.objects.filter(state=Delivery.State.PLANNED, send_at__gt=timezone.now() + AHEAD)
        return soon.select_related("booking__customer", "payment__customer").order_by("send_at", "pk")

    def _keep(self, what: str, deliveries: QuerySet[Delivery], receipt: Receipt) -> None:
        """Hold the receipt against what arrives from now on; in flight is what it does not promise about."""
        in_flight = {str(delivery.pk) for delivery in receipt.in_flight}
        ids = {str(pk) for pk in deliveries.values_list("pk", flat=True)}
        self.withdrawals.append(Withdrawal(what, timezone.now(), frozenset(ids - in_flight)))
        parts = [f"{_counted(len(receipt.cancelled))} withdrawn"]
        parts += [
            f"{len(some)} {word}"
            for some, word in (
                (receipt.in_flight, "in flight"),
                (receipt.already_sent, "already sent"),
                (receipt.planned, "planned anew"),
            )
            if some
        ]
        self.tell(f"{what}: {', '.join(parts)}")


def _named(anchor: Booking | Payment) -> str:
    what = anchor.service if isinstance(anchor, Booking) else f"the payment for {anchor.subject}"
    return f"{what} ({anchor.customer})"


def _counted(number: int) -> str:
    return f"{number} reminder{'s' if number != 1 else ''}"
