"""/demo: a sign-up that welcomes once, and errors of every kind, to see them in the admin and in Flower.

With DEBUG only: elsewhere there is nothing at these addresses, and the description does not name them.
"""

from typing import Annotated, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from pydantic import Field

from config.demo import errors, welcome
from jobs import ledger
from jobs.api.asked import Asked
from jobs.api.callers import caller, needs
from jobs.api.calls import filled
from jobs.api.jobs import ROOT
from jobs.api.problems import Problem, invalid
from jobs.api.shapes import JobOut, shown

router = Router(tags=["demo"])
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.@+-]+$")]


class SignUp(Asked):
    user: Name = Field(examples=["123"])
    email: str = Field(max_length=254, examples=["user@example.com"])


@router.post("/signup", auth=needs("jobs:enqueue"), response={201: JobOut, 200: JobOut})
def sign_up(request: HttpRequest, response: HttpResponse, who: SignUp) -> Any:
    """The account and its welcome mail's job are one transaction. A second time: 200 with the same job."""
    _only_in_debug(request)
    try:
        validate_email(who.email)
    except ValidationError as exc:
        raise invalid("email", "; ".join(exc.messages)) from exc
    with transaction.atomic():
        known = {"email": who.email, "is_active": False}  # nobody can log in with it
        user, _new = User.objects.get_or_create(username=f"demo-{who.user}", defaults=known)
        if user.email != who.email:
            raise Problem(409, "user: has signed up with another address.")
        job = filled(welcome.welcome, [user.pk], {}, {"unique_key": f"welcome-{who.user}"})
        kept = ledger.enqueue(job)
    response["Location"] = f"{ROOT}/{kept.pk}"
    return Status(201 if kept.pk == job.pk else 200, shown(kept))


@router.post("/simulate-error", auth=needs("jobs:enqueue"), response={201: JobOut})
def simulate_error(request: HttpRequest, response: HttpResponse, type: errors.Kind) -> Any:  # noqa: A002
    """transient: fails twice, then succeeds. permanent: fails at once. rate_limit: waits, uncounted. crash: kills its
    worker's process, twice."""
    _only_in_debug(request)
    limit = {"max_attempts": errors.CRASHES} if type == "crash" else {}
    job = ledger.enqueue(filled(errors.simulate, [type], {}, dict(limit)))
    response["Location"] = f"{ROOT}/{job.pk}"
    return Status(201, shown(job))


def _only_in_debug(request: HttpRequest) -> None:
    caller(request)
    if not settings.DEBUG:
        raise Problem(404, "There is nothing at this address; /api/docs lists what there is.")
