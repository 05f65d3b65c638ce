"""Rows that a caller can reach, and what of them a caller may read. Each router's only way to the tables.

The promise: another tenant's row is a row that is not there (404); what all tenants share can be read by each, and
changed by nobody who is limited to some; who may not see customers reads masked values, and cannot look for them.
"""

from typing import Any

from jobs.api.callers import Caller
from jobs.api.problems import Problem, invalid, not_found
from notifications import privacy
from notifications.api.scopes import REVEAL
from notifications.models import Booking, Customer, Delivery, Payment


def bookings(caller: Caller) -> Any:
    return caller.of_tenant(Booking.objects.all())


def payments(caller: Caller) -> Any:
    return caller.of_tenant(Payment.objects.all())


def customers(caller: Caller) -> Any:
    return caller.of_tenant(Customer.objects.all())


def deliveries(caller: Caller) -> Any:
    return caller.of_tenant(Delivery.objects.all())


def one(rows: Any, pk: Any, what: str) -> Any:
    """Raises Problem 404, also for what is another's."""
    row = rows.filter(pk=pk).first()
    if row is None:
        raise not_found(what)
    return row


def referred(rows: Any, pk: int | None, field: str) -> Any:
    """A row that a body refers to. Raises Problem 422."""
    row = None if pk is None else rows.filter(pk=pk).first()
    if row is None and pk is not None:
        raise invalid(field, f"there is no {field} {pk}, or not for this key")
    return row


def own(caller: Caller, row: Any, what: str) -> Any:
    """Raises Problem 403 for what all tenants share, if the caller is limited to some."""
    if caller.tenants() is not None and not row.tenant:
        raise Problem(403, f"This {what} is shared by all tenants. Make one for yours, or use a key without limits.")
    return row


def tenant_for(caller: Caller, asked: str | None, what: str) -> str:
    """Of a new row that would be shared if it were of no tenant. Raises Problem 422 or 403."""
    tenant = caller.tenant_for(asked)
    if caller.tenants() is not None and not tenant:
        raise Problem(403, f"Such a {what} would be shared by all tenants, and this key is limited to some.")
    return tenant


def whole_installation(caller: Caller, what: str) -> None:
    """Raises Problem 403 for a caller who is limited to some tenants."""
    if caller.tenants() is not None:
        raise Problem(403, f"{what} holds for all tenants, and this key is limited to some.")


def reveals(caller: Caller) -> bool:
    return caller.may(REVEAL)


def need_reveal(caller: Caller, field: str, because: str) -> None:
    """Raises Problem 403 where an answer, though masked, would tell whether a guess is right."""
    if not reveals(caller):
        raise Problem(403, f"{field}: this needs the scope {REVEAL}, because {because}.")


def machine_text(caller: Caller, text: str) -> str:
    """What a provider or an error said."""
    return text if reveals(caller) else privacy.text(text)
