"""Tokens of customers' apps: each opens the inbox of one customer, for a while, and nothing else.

Issued through `POST /customers/{id}/inbox-token`, read by `inbox`. Signed, not stored: a token ends by its time, with
the key that issued it, and when the secret key is changed (SECRET_KEY_FALLBACKS are read until they go).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from jobs.api import keys
from jobs.api.callers import Caller
from notifications.models import Customer

MARK = "inbox_"
SALT = "punctual.inbox"
LONGEST = timedelta(days=1)


@dataclass(frozen=True)
class Reader(Caller):
    """A customer in their app. No scope is theirs: they reach their inbox only."""

    customer: Customer | None = None


def issue(customer: Customer, lifetime: timedelta, *, by: str) -> tuple[str, datetime]:
    """The token, and when it is over. `by` is the name of the caller."""
    over = timezone.now() + min(lifetime, LONGEST)
    return MARK + signing.dumps([customer.pk, int(over.timestamp()), by], salt=SALT), over


class Token(HttpBearer):
    """Authorization: Bearer inbox_..., from the customer's app."""

    openapi_description = "of one customer's app: POST /customers/{id}/inbox-token"

    def authenticate(self, request: HttpRequest, token: str) -> Reader | None:
        if not hasattr(request, "_punctual_reader"):
            request._punctual_reader = _reader(token)  # type: ignore[attr-defined]
        reader: Reader | None = request._punctual_reader  # type: ignore[attr-defined]
        return reader


def _reader(token: str) -> Reader | None:
    said = _said(token)
    if said is None:
        return None
    pk, over, by = said
    if timezone.now().timestamp() >= over or not keys.stands(by):
        return None
    customer = Customer.objects.filter(pk=pk).first()
    return None if customer is None else Reader(name=f"inbox:{pk}", user=None, granted=frozenset(), customer=customer)


def _said(token: str) -> list[Any] | None:
    """What a token of ours says; None for any other text."""
    if not token.startswith(MARK):
        return None
    try:
        said: list[Any] = signing.loads(token.removeprefix(MARK), salt=SALT)
    except signing.BadSignature:
        return None
    return said
