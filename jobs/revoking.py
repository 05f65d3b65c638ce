"""A revoke from Flower, or from anybody who uses Celery's control, becomes a durable cancel.

Imported by every worker: it takes the place of Celery's own `revoke` command. Celery keeps revoked ids in the memory
of the workers that are alive at that moment; here the rows change, so the cancel outlives them all, and a person's
later retry is not refused by a worker that remembers an old revoke.
"""

import logging
import uuid
from collections.abc import Iterable
from typing import Any

from celery.platforms import signals
from celery.utils.functional import maybe_list
from celery.worker import control, state

from jobs import connections, ledger
from jobs.results import found

logger = logging.getLogger(__name__)

_celerys_revoke: Any = control.revoke  # type: ignore[attr-defined]
WHY = "revoked through Celery's control (Flower)"


@control.control_command(
    name="revoke",
    variadic="task_id",
    signature="[id1 [id2 [... [idN]]]]",
)
def revoke(panel: Any, task_id: str | list[str], terminate: bool = False, signal: Any = None, **kwargs: Any) -> Any:
    """Cancel durable jobs in the ledger; revoke the others as Celery does."""
    connections.refresh()
    ids = [str(one) for one in maybe_list(task_id) or []]
    jobs = {pk for pk in ids if found(pk)}
    if jobs:
        outcome = ledger.cancel([uuid.UUID(pk) for pk in jobs], WHY)
        logger.info("revoke: %s", " ".join(f"job={pk} outcome={what}" for pk, what in outcome.items()))
        if terminate:
            _terminate(jobs, panel.consumer.pool, signal)
    others = [pk for pk in ids if pk not in jobs]
    if others:
        return _celerys_revoke(panel, others, terminate=terminate, signal=signal, **kwargs)
    return {"ok": f"jobs {', '.join(ids)} cancelled"}


def _terminate(ids: Iterable[str], pool: Any, signal: Any) -> None:
    """Kill the processes of jobs that run here, each in a message of its own; the rescuer finds the rows cancelled."""
    for pk in ids:
        request = state.requests.get(pk)
        if request is not None and request in state.active_requests:
            request.terminate(pool, signal=signals.signum(signal or "TERM"))
