"""`atomic=True`: what a job writes to the database and that it succeeded are one transaction. Both are there, or none.

Used by `Durable.__call__`, which begins, and by the executor, which ends. The transaction is open while Celery's tracer
inserts the next steps of the job, so those are part of it as well. A process that is killed at any point before the
commit leaves nothing behind, and the job runs again.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from django.db import Error, connection, transaction

from jobs import connections, ledger
from jobs.models import Attempt, Job
from jobs.recorder import insist
from jobs.running import Running
from jobs.verdict import Verdict, path_of

S = Job.State


def begin(running: Running, body: Callable[[], Any]) -> Any:
    """Run the body in a transaction that stays open when it returns, and is rolled back when it raises."""
    stack = ExitStack()
    stack.enter_context(transaction.atomic())
    try:
        value = body()
    except BaseException:
        stack.__exit__(*sys.exc_info())
        raise
    running.transaction = stack
    return value


def end(running: Running, verdict: Verdict) -> None:
    """Commit the job's success with what it wrote, or roll back; `verdict.outcome` says what is written already."""
    stack, running.transaction = running.transaction, None
    if stack is None:  # the body has raised
        return
    try:
        with stack:
            if verdict.verb == "succeed" and ledger.succeed(verdict.job, verdict.result, **running.unwritten):
                verdict.outcome = "succeed"
            else:
                verdict.outcome = "late" if verdict.verb == "succeed" else ""
                transaction.set_rollback(True)
    except Error as exc:
        _settle(verdict, exc)
    else:
        if not verdict.outcome:
            running.finish()


def _settle(verdict: Verdict, exc: Error) -> None:
    """The commit failed, or its answer got lost: then the row knows."""
    job = verdict.job
    connection.close()
    connections.refresh()
    mine = Job.objects.filter(pk=job.pk, token=job.token, state=S.SUCCEEDED)
    if insist(mine.exists):
        verdict.outcome = "succeed"
        return
    why = f"its transaction was not committed: {type(exc).__name__}: {exc}"[:2000]
    verdict.attempt = Attempt(outcome=Attempt.Outcome.ERRORED, error=why, exception=path_of(exc), duration=verdict.took)
    verdict.outcome = "not committed"
    if isinstance(exc, connections.AWAY):  # it will be back
        verdict.verb = "back_off"
        insist(partial(ledger.rescue, job, killed=why))
    else:
        verdict.verb = "give_up"
        insist(partial(ledger.give_up, job, verdict.attempt))
