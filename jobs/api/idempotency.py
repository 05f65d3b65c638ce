"""Idempotency-Key: a request that is sent again gets the answer of the first, and changes nothing more.

Called by `door` for everything that changes. The change and its answer are one transaction, so that there is no answer
without its change, whatever dies in between; a request that died leaves its key to the next after LEASE. Only what has
changed something is kept: an error has not, so the next try is looked at anew.

Answers have names and addresses in them. They are kept encrypted by a secret that only the caller has (API keys are
here as digests), so that whoever reads the database reads none; who forgets somebody takes away even those.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from jobs.access import IdempotentRequest
from jobs.api.problems import Problem, answer
from jobs.ids import new_id

LEASE = timedelta(minutes=2)  # more than any request is given
LONGEST = 255
KEY = re.compile(f"[!-~]{{1,{LONGEST}}}")
HEADERS = ("Content-Type", "Location")
# openapi_extra of an operation whose answer is a secret: it would be readable in the table. Asked twice, it acts twice.
NOT_KEPT = {"x-answer-not-kept": True}

FORGOTTEN = (
    "This was carried out, and answered with {}. What the answer said is not kept any more, because personal data of "
    "somebody was deleted since. Look at what there is now."
)

ROTATED = (
    "This Idempotency-Key was sent with a key that this one came from by rotation, or that came from it. Ask with that "
    "key for its answer, or look at what there is now and take a new one."
)

# A key replaces one and is replaced by one, so its line is all before it and all after it; each step is one look into
# an index. As far as 100 links: a rotation every half an hour for as long as answers are kept. A rotation gives the
# next key the same tenants; one that has others is not of the line.
OF_THE_LINE = """
WITH RECURSIVE older(id, replaces_id, tenants, links) AS (
    SELECT id, replaces_id, tenants, 0 FROM jobs_apikey WHERE prefix = %s
    UNION ALL
    SELECT found.id, found.replaces_id, found.tenants, links + 1
    FROM older JOIN jobs_apikey AS found ON found.id = older.replaces_id AND found.tenants = older.tenants
    WHERE links < 100
), newer(id, tenants, links) AS (
    SELECT id, tenants, 0 FROM jobs_apikey WHERE prefix = %s
    UNION ALL
    SELECT found.id, found.tenants, links + 1
    FROM newer JOIN jobs_apikey AS found ON found.replaces_id = newer.id AND found.tenants = newer.tenants
    WHERE links < 100
), others(id) AS (
    SELECT id FROM older WHERE links > 0 UNION ALL SELECT id FROM newer WHERE links > 0
)
SELECT 1 FROM others JOIN jobs_apikey USING (id)
JOIN jobs_idempotentrequest AS asked ON asked.caller = 'key:' || jobs_apikey.prefix AND asked.key = %s
LIMIT 1
"""

Act = Callable[[], HttpResponse]


class Seal:
    """What only this request of this caller, sent again, computes anew."""

    def __init__(self, request: HttpRequest, caller: str, key: str) -> None:
        by_key = caller.startswith("key:")  # people have no secret that outlives their session: ours stands for it
        secret = request.headers["Authorization"].partition(" ")[2].strip() if by_key else settings.SECRET_KEY
        self._secret = _digest(secret.encode(), b"idempotency", caller.encode(), key.encode())

    def fingerprint(self, request: HttpRequest, raw: bytes) -> str:
        """Not a plain hash: a body that has little but a phone number in it would be guessed from that."""
        said = ((request.method or "").encode(), request.get_full_path().encode(), raw)
        return _digest(self._secret, b"request", *said).hex()

    def close(self, body: bytes) -> str:
        return self._box().encrypt(body).decode()

    def open(self, sealed: str) -> bytes:
        return self._box().decrypt(sealed)

    def _box(self) -> Fernet:
        return Fernet(urlsafe_b64encode(_digest(self._secret, b"answer")))


def _digest(secret: bytes, *parts: bytes) -> bytes:
    return hmac.digest(secret, b"\0".join(parts), "sha256")


def is_kept(told: Mapping[str, Any] | None) -> bool:
    """Of an operation as the description has it, or of its `openapi_extra`."""
    return not (told or {}).get("x-answer-not-kept")


def key_of(request: HttpRequest) -> str:
    """Raises Problem 422 for one that cannot be kept."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not KEY.fullmatch(key):  # an empty one too: who sends it believes that it protects him
        raise Problem(422, f"Idempotency-Key takes 1 to {LONGEST} ASCII letters without spaces, such as a UUID.")
    return key or ""


def once(request: HttpRequest, caller: str, key: str, raw: bytes, act: Act) -> HttpResponse:
    """What `act` answers, the first time; later that same answer. `act` runs in a transaction that it may undo."""
    seal, token = Seal(request, caller, key), new_id()
    said = seal.fingerprint(request, raw)
    row = IdempotentRequest(caller=caller, key=key, fingerprint=said, token=token)
    IdempotentRequest.objects.bulk_create([row], ignore_conflicts=True)
    kept = IdempotentRequest.objects.filter(caller=caller, key=key).first()
    if kept is None:  # another had it, and was answered with an error just now
        return answer(_at_work())
    if kept.token != token:
        if kept.fingerprint != said:
            return answer(Problem(422, "This Idempotency-Key belongs to another request. Take a new one for each."))
        if kept.status is not None:
            return _replayed(kept, seal)
        if not _taken_over(kept, token):
            return answer(_at_work())
    elif _rotated(caller, key):
        IdempotentRequest.objects.filter(pk=kept.pk, token=token).delete()
        return answer(Problem(409, ROTATED))
    return _done(kept.pk, token, seal, act)


def _rotated(caller: str, key: str) -> bool:
    """Whether the caller asked before, with another key of the same line of rotations. Its answer is sealed by that.

    After our own row is written: of two requests at once at least one finds the other.
    """
    kind, _colon, prefix = caller.partition(":")
    if kind != "key":
        return False
    with connection.cursor() as cursor:
        cursor.execute(OF_THE_LINE, [prefix, prefix, key])
        return cursor.fetchone() is not None


def _at_work() -> Problem:
    return Problem(409, "The request of this Idempotency-Key is at work. Ask again.", headers={"Retry-After": "1"})


def _taken_over(kept: IdempotentRequest, token: UUID) -> bool:
    stale = IdempotentRequest.objects.filter(pk=kept.pk, token=kept.token, status=None, at__lt=Now() - LEASE)
    return bool(stale.update(token=token, at=Now()))


def _done(pk: int, token: UUID, seal: Seal, act: Act) -> HttpResponse:
    mine = IdempotentRequest.objects.filter(pk=pk, token=token, status=None)
    try:
        with transaction.atomic():
            response = act()
            kept = response.status_code < 400 and _keep(mine, seal, response)
            if response.status_code < 400 and not kept:
                transaction.set_rollback(True)  # it took longer than the lease: another does it
                return answer(Problem(409, "This took too long, and the same request is at work once more. Ask again."))
    except BaseException:
        mine.delete()
        raise
    if not kept:
        mine.delete()
    return response


def _keep(mine: "QuerySet[IdempotentRequest]", seal: Seal, response: HttpResponse) -> bool:
    headers = {name: response[name] for name in HEADERS if name in response}
    return bool(mine.update(status=response.status_code, headers=headers, sealed=seal.close(response.content)))


def _replayed(kept: IdempotentRequest, seal: Seal) -> HttpResponse:
    if kept.sealed:
        response = HttpResponse(seal.open(kept.sealed), status=kept.status, headers=kept.headers)
    else:
        where = {name: value for name, value in kept.headers.items() if name != "Content-Type"}
        response = answer(Problem(409, FORGOTTEN.format(kept.status), headers=where))
    response["Idempotent-Replayed"] = "true"
    return response
