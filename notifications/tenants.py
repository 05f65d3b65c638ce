"""Tenants: several businesses in one installation. Without any, all rows are of the tenant "" and nobody notices.

A customer belongs to one, and with the customer all that is about them: each row has the name itself, so that no list
needs a join. It is set when a row is made and never changes, so what is checked then stays true. Asked wherever two
rows meet. The promise: no row refers to one of another tenant.
"""

from django.utils.translation import gettext as _

from notifications.models import Booking, Customer, MessageTemplate, Payment, ReminderRule


class OtherTenant(ValueError):
    """Two rows that were to belong together are of different tenants: nothing was changed."""


def shared_by(tenant: str | None, *rows: Customer | Booking | Payment | None) -> str:
    """The one tenant of all rows, and that one if it is given. Raises OtherTenant."""
    for row in rows:
        if row is None:
            continue
        if tenant is not None and row.tenant != tenant:
            raise OtherTenant(_("%(row)s belongs to another tenant.") % {"row": f"{row._meta.verbose_name} {row.pk}"})
        tenant = row.tenant
    return tenant or ""


def speaks_to(rule: ReminderRule | MessageTemplate, tenant: str) -> bool:
    """Whether a rule or a wording is one of all tenants, or of this."""
    return rule.tenant in ("", tenant)
