"""`self.replace(signature)`: the job ends by handing its place to another, in the transaction that inserts that one.

Used by `Durable` and the recorder. Celery gives the replacement the id of what it replaces; here that id is taken, by
the row that tells what happened. The row knows its successor, and whoever asks for its result gets the successor's.
"""

import uuid
from typing import TYPE_CHECKING, Any

from celery.canvas import group
from django.db import transaction

from jobs import canvas, ledger
from jobs.models import Attempt, Job
from jobs.verdict import Replaced, path_of, stored

if TYPE_CHECKING:
    from jobs.durable import Durable

KEY = "replaced_by"  # in the row's options


def prepared(task: "Durable", sig: Any, celerys: Any) -> Any:
    """What Celery makes of it: with the callbacks, next steps and group of the present job, under a new id."""
    if isinstance(sig, group):
        sig |= task.app.tasks["jobs.gather"].s()
    if not canvas.is_durable(sig):
        raise TypeError(f"{task.name} is durable and is replaced by durable tasks only; {sig} would not be kept.")
    request = task.request
    if request.group and sig.subtask_type:
        raise TypeError(f"{task.name} is one of a group, which waits for single jobs; replace it by one durable call.")
    own, request.id = request.id, str(uuid.uuid5(uuid.UUID(request.id), KEY))
    try:
        return celerys(sig)
    finally:
        request.id = own


def hand_over(job: Job, replaced: Replaced) -> bool:
    """End the job and insert its successor. False: it was not ours to end any more."""
    options = job.options | {KEY: replaced.successor}
    left = {"options": options, "group_id": None, "group_index": None}
    try:
        with transaction.atomic():
            if not ledger.succeed(job, reason=str(replaced), **left):
                return False
            replaced.signature.apply_async()
    except (TypeError, ValueError) as exc:  # arguments that its successor does not take
        attempt = Attempt(outcome=Attempt.Outcome.ERRORED, error=f"not {replaced}: {exc}", exception=path_of(exc))
        return ledger.give_up(job, attempt, stored(exc))
    return True
