"""Customers: made, and changed together with what is planned for them.

Called by the API. The promise: the model's own checks decide, only the columns that are named are written, and a
changed address or channel replans what is still to come in the same transaction.
"""

from base64 import b64decode
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from notifications import reconciler
from notifications.models import Customer


def add(**fields: Any) -> Customer:
    """Raises ValidationError, and IntegrityError for an external id that the tenant has already."""
    customer = Customer(**fields)
    _check(customer)
    with transaction.atomic():
        customer.save(force_insert=True)
    return customer


def change(customer: Customer, **fields: Any) -> Customer:
    """As `add`. What is not named stays as it is stored, whatever the object says."""
    for name, value in fields.items():
        setattr(customer, name, value)
    _check(customer, *fields)
    with transaction.atomic():
        Customer.objects.filter(pk=customer.pk).update(**{name: getattr(customer, name) for name in fields})
        customer.refresh_from_db()
        reconciler.replan(customer)
    return customer


def _check(customer: Customer, *names: str) -> None:
    """Those columns, or all. Constraints decide when it is written: two may do it at once."""
    columns = {column.name for column in Customer._meta.concrete_fields}
    customer.clean_fields(exclude=columns - set(names) if names else None)
    if "webhook_secret" in (names or columns) and not _signs(customer.webhook_secret):
        raise ValidationError({"webhook_secret": _("A secret is whsec_ and base64; several are separated by a space.")})


def _signs(secrets: str) -> bool:
    try:
        return all(b64decode(secret.removeprefix("whsec_"), validate=True) for secret in secrets.split())
    except ValueError:
        return False
