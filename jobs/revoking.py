"""A revoke from Flower, or from anybody who uses Celery's control, becomes a durable cancel.

Imported by every worker: it takes the place of Celery's own commands. Celery keeps revoked ids in the memory of the
workers that are alive at that moment; here the rows change, so the cancel outlives them all, and a person's later retry
is not refused by a worker that remembers an old revoke. All workers hear of a revoke, and the first to reach the row
records it; the one that runs the job also ends its process, where that was asked for.
"""

import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from celery.platforms import signals
from celery.utils.functional import maybe_list
from celery.worker import control, state
from django.db import Error

from jobs import connections, flight, orders
from jobs.ledger import Cancelled
from jobs.models import Job

logger = logging.getLogger(__name__)

WHO, WHY = "Flower (Celery's control)", "revoked"
LOOK_AGAIN = 0.5  # seconds
AGAIN, TRIES = 3.0, 20  # seconds and times: longer than a database takes to restart

_celerys_revoke: Any = control.revoke  # type: ignore[attr-defined]
_celerys_by_stamps: Any = control.revoke_by_stamped_headers  # type: ignore[attr-defined]


@control.control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(panel: Any, task_id: Any, terminate: bool = False, signal: Any = None, tried: int = 0, **kwargs: Any) -> Any:
    """Cancel durable jobs in the ledger; revoke the others as Celery does."""
    ids = [str(one) for one in maybe_list(task_id) or []]
    try:
        receipts = _cancel(panel, ids, terminate, signal)
    except Error as exc:
        return _later(panel, exc, ids, terminate=terminate, signal=signal, tried=tried + 1, **kwargs)
    finally:
        connections.leave()
    others = [pk for pk in ids if pk not in receipts]
    if others or not ids:
        theirs = _celerys_revoke(panel, others, terminate=terminate, signal=signal, **kwargs)
        if not receipts:
            return theirs
        receipts[", ".join(others)] = str(theirs["ok"])
    return {"ok": "; ".join(f"{pk}: {what}" for pk, what in receipts.items())}


@control.control_command(name="terminate", variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [...]]")
def terminate(panel: Any, signal: str, task_id: Any, **kwargs: Any) -> Any:
    """The same, and end the processes that run them."""
    return revoke(panel, task_id, terminate=True, signal=signal)


@control.control_command(
    name="revoke_by_stamped_headers", variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]"
)
def revoke_by_stamps(panel: Any, headers: Any, terminate: bool = False, signal: Any = None, **kwargs: Any) -> Any:
    """Cancel the jobs that carry one of these stamps now; later ones are not refused. Reads every unfinished row."""
    wanted: Mapping[str, Any] = dict(h.split("=", 1) for h in headers) if isinstance(headers, list) else headers
    answer = _celerys_by_stamps(panel, headers, terminate=terminate, signal=signal, **kwargs)
    receipts = _cancel(panel, _stamped(wanted), terminate, signal)
    return {"ok": "; ".join([*(f"{pk}: {what}" for pk, what in receipts.items()), str(answer["ok"])])}


def _cancel(panel: Any, ids: Iterable[str], terminate: bool, signal: Any) -> dict[str, str]:
    """What became of each id that is a job's."""
    connections.refresh()
    asked = {pk: one for one in ids if (pk := _uuid(one))}
    receipts = orders.cancel(asked, by=WHO, reason=WHY)
    for pk, receipt in receipts.items():
        logger.info("revoke job=%s outcome=%s", pk, receipt)
        if terminate and receipt == Cancelled.IN_FLIGHT:
            _end_process(panel, str(pk), signals.signum(signal or "TERM"))
    return {asked[pk]: str(receipt) for pk, receipt in receipts.items()}


def _later(panel: Any, exc: Error, ids: list[str], tried: int, **kwargs: Any) -> dict[str, str]:
    """Flower has said "revoked" by now, so it has to become true when the database answers again."""
    logger.error("revoke, try %s of %s: %s; ids: %s", tried, TRIES, exc, " ".join(ids))
    if tried < TRIES:
        panel.consumer.timer.call_after(AGAIN, revoke, (panel, ids), kwargs | {"tried": tried})
    return {"error": f"the database does not answer: {exc}"}


def _stamped(wanted: Mapping[str, Any]) -> list[str]:
    found = set()
    for name, stamps in wanted.items():
        rows = Job.objects.unfinished().filter(cancel_requested=False, options__has_key=name)
        values = {str(stamp) for stamp in maybe_list(stamps)}
        found |= {
            str(pk)
            for pk, options in rows.values_list("pk", "options")
            if name in options.get("stamped_headers", ()) and values & {str(s) for s in maybe_list(options[name])}
        }
    return sorted(found)


def _end_process(panel: Any, pk: str, signum: int) -> None:
    """Of a job that runs here. `requests` notices when the process is gone, and ends the row as cancelled.

    In a shared message the others go back; so that they do not for a job that has not begun, this looks again.
    """
    for request in list(state.active_requests):
        ids = request.args[0] if request.name == "jobs.run" else [request.id]
        if pk not in ids:
            continue
        if len(ids) == 1 or flight.has(request.worker_pid, ids, pk) == flight.RUNNING:
            request.terminate(panel.consumer.pool, signal=signum)
        elif flight.has(request.worker_pid, ids, pk) != flight.OVER:
            panel.consumer.timer.call_after(LOOK_AGAIN, _end_process, (panel, pk, signum))


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:  # Celery's ids may be any text
        return None
