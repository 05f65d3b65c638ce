"""API keys: made, shown once, found by what a request brings, rotated, revoked. Only their digests are kept.

Used by `callers`, the admin and `manage.py api_key`. The promise: a key that is revoked or over is refused at the next
request; one that is rotated goes on until its overlap is over, so that programs can change theirs without a pause.
"""

import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Case, F, Q, When
from django.db.models.functions import Least, Now

from jobs.access import ApiKey

MARK = "pk_"
USED_EVERY = timedelta(minutes=1)  # how exactly it is known when a key was used last; each look would be a write


def issue(
    name: str,
    scopes: Collection[str],
    *,
    by: Any = None,
    queues: Collection[str] = (),
    tasks: Collection[str] = (),
    tenants: Collection[str] = (),
    per_minute: int | None = None,
    expires_at: datetime | None = None,
    replaces: ApiKey | None = None,
) -> tuple[ApiKey, str]:
    """A new key: its row, and the key itself, which nobody can ever tell again."""
    prefix = MARK + secrets.token_hex(5)
    whole = f"{prefix}_{secrets.token_urlsafe(32)}"  # 256 random bits
    row = ApiKey(
        name=name,
        prefix=prefix,
        digest=digest(whole),
        scopes=sorted(scopes),
        queues=sorted(queues),
        tasks=sorted(tasks),
        tenants=sorted(tenants),
        per_minute=per_minute,
        created_by=by,
        expires_at=expires_at,
        replaces=replaces,
    )
    row.full_clean(exclude=["digest", "prefix"])
    row.save(force_insert=True)
    return row, whole


def rotate(key: ApiKey, overlap: timedelta, *, by: Any = None) -> tuple[ApiKey, str] | None:
    """A key that may the same; the old one goes on for the overlap. None: it was rotated, revoked or over before."""
    with transaction.atomic():
        usable = ApiKey.objects.filter(_valid(), pk=key.pk, successor=None)
        ends = Least(F("expires_at"), Now() + overlap) if key.expires_at else Now() + overlap
        if not usable.update(expires_at=ends):
            return None
        limits = {name: getattr(key, name) for name in ("queues", "tasks", "tenants", "per_minute", "expires_at")}
        return issue(key.name, key.scopes, by=by or key.created_by, replaces=key, **limits)


def revoke(key: ApiKey, *, by: str) -> bool:
    """From now on it opens nothing. False: it was revoked before."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now(), revoked_by=by[:150]))


def found(whole: str) -> ApiKey | None:
    """The key of a request, if it is valid now. One query, and seldom a second that says it was used."""
    prefix = whole[: len(MARK) + 10]
    if not whole.startswith(MARK) or not whole.isascii():
        return None
    old = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USED_EVERY)
    rows: Any = ApiKey.objects.filter(_valid(), prefix=prefix).select_related("created_by")
    row: Any = rows.annotate(old=Case(When(old, then=True), default=False)).first()
    if row is None or not hmac.compare_digest(row.digest, digest(whole)):
        return None
    if row.old:
        ApiKey.objects.filter(old, pk=row.pk).update(last_used_at=Now())
    return row  # type: ignore[no-any-return]


def stands(caller: str) -> bool:
    """Whether a caller of that name (`Caller.name`) may still ask: for what was handed on to others."""
    kind, _colon, name = caller.partition(":")
    if kind == "user":
        return get_user_model()._default_manager.filter(username=name, is_active=True).exists()
    maker = Q(created_by=None) | Q(created_by__is_active=True)
    return ApiKey.objects.filter(_valid(), maker, prefix=name).exists()


def digest(whole: str) -> str:
    """Not a slow hash: 256 random bits are not guessed, whatever a guess costs."""
    return sha256(whole.encode()).hexdigest()


def _valid() -> Q:
    return Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=Now()))
