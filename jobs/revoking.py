"""What a worker does about a revoke: it ends the processes of its jobs, and makes a durable cancel of foreign revokes.

Imported by every worker; its commands take the place of Celery's own. `control` has cancelled the rows already, unless
whoever revokes has another Celery application than ours (a Flower that knows only the broker): then each worker that
hears it cancels them, and the first records it. Nothing is kept in a worker's memory, where a later retry by a person
would meet it.
"""

import logging
from typing import Any

from celery.platforms import signals
from celery.utils.functional import maybe_list
from celery.worker import control as commands, state
from django.db import Error

from jobs import connections, control, flight
from jobs.ledger import Cancelled
from jobs.models import Job

logger = logging.getLogger(__name__)

WHO = "Celery's control, heard by a worker"
LOOK_AGAIN = 0.5  # seconds
AGAIN, TRIES = 3.0, 20  # seconds and times: longer than a database takes to restart

_celerys_revoke: Any = commands.revoke  # type: ignore[attr-defined]
_celerys_by_stamps: Any = commands.revoke_by_stamped_headers  # type: ignore[attr-defined]


@commands.control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(panel: Any, task_id: Any, terminate: bool = False, signal: Any = None, tried: int = 0, **kwargs: Any) -> Any:
    """Cancel durable jobs in the ledger; revoke the others as Celery does."""
    ids = [str(one) for one in maybe_list(task_id) or []]
    try:
        receipts = _cancel(panel, ids, terminate, signal)
    except Error as exc:
        again = {"task_id": ids, "terminate": terminate, "signal": signal, "tried": tried + 1}
        return _later(panel, exc, "revoke", again | kwargs)
    others = [pk for pk in ids if pk not in receipts]
    answer = control.told(receipts)
    if others or not ids:
        theirs = _celerys_revoke(panel, others, terminate=terminate, signal=signal, **kwargs)
        answer["ok"] = f"{answer['ok']}; {theirs['ok']}" if receipts else theirs["ok"]
    return answer


@commands.control_command(
    name="terminate", variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]"
)
def terminate(panel: Any, signal: str, task_id: Any, **kwargs: Any) -> Any:
    """The same, and end the processes that run them."""
    return revoke(panel, task_id, terminate=True, signal=signal)


@commands.control_command(
    name="revoke_by_stamped_headers", variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]"
)
def revoke_by_stamps(
    panel: Any, headers: Any, terminate: bool = False, signal: Any = None, jobs: bool = True, **kwargs: Any
) -> Any:
    """Cancel the jobs that carry one of these stamps now; later ones are not refused."""
    if jobs:
        try:
            ids = [str(pk) for pk in control.stamped(headers)]
        except Error as exc:
            again = {"headers": headers, "terminate": terminate, "signal": signal, "tried": kwargs.get("tried", 0) + 1}
            return _later(panel, exc, "revoke_by_stamped_headers", again)
        if ids:
            revoke(panel, ids, terminate=terminate, signal=signal)
    return _celerys_by_stamps(panel, headers, terminate=terminate, signal=signal, **kwargs)


@commands.control_command(name="end_jobs", variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def end_jobs(panel: Any, ids: list[str], signal: Any = None, tried: int = 0) -> Any:
    """End the processes of those of these jobs that run here and are to be cancelled."""
    try:
        connections.refresh()
        rows = Job.objects.filter(pk__in=ids, state=Job.State.RUNNING, cancel_requested=True)
        found = [str(pk) for pk in rows.values_list("pk", flat=True)]
    except Error as exc:
        return _later(panel, exc, "end_jobs", {"ids": ids, "signal": signal, "tried": tried + 1})
    finally:
        connections.leave()
    for pk in found:
        _end_process(panel, pk, signals.signum(signal or "TERM"))
    return {"ok": f"told to end: {', '.join(found)}"}


def _cancel(panel: Any, ids: Any, terminate: bool, signal: Any) -> dict[str, Cancelled]:
    receipts = control.cancel(ids, WHO)
    for pk, receipt in receipts.items():
        logger.info("revoke job=%s outcome=%s", pk, receipt)
        if terminate and receipt == Cancelled.IN_FLIGHT:
            _end_process(panel, pk, signals.signum(signal or "TERM"))
    return receipts


def _later(panel: Any, exc: Error, command: str, arguments: dict[str, Any]) -> dict[str, str]:
    """Who broadcast it has gone away and believes it, so it has to become true when the database answers again."""
    logger.error("%s %s, try %s of %s: %s", command, arguments, arguments["tried"], TRIES, exc)
    if arguments["tried"] < TRIES:
        panel.consumer.timer.call_after(AGAIN, commands.Panel.data[command], (panel,), arguments)
    return {"error": f"the database does not answer: {exc}"}


def _end_process(panel: Any, pk: str, signum: int) -> None:
    """Of a job that runs here. `requests` notices when the process is gone, and ends the row as cancelled.

    In a shared message the others go back; so that they do not for a job that has not begun, this looks again.
    """
    for request in list(state.active_requests):
        ids = request.args[0] if request.name == "jobs.run" else [request.id]
        if pk not in ids:
            continue
        if len(ids) == 1 or flight.has(request.worker_pid, ids, pk) == flight.RUNNING:
            logger.info("ending the process %s of job=%s signal=%s", request.worker_pid, pk, signum)
            request.terminate(panel.consumer.pool, signal=signum)
        elif flight.has(request.worker_pid, ids, pk) != flight.OVER:
            panel.consumer.timer.call_after(LOOK_AGAIN, _end_process, (panel, pk, signum))
