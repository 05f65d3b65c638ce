"""Celery's remote control, with a revoke that is a durable cancel: what `app.control` is, in Flower as everywhere.

A revoke of Celery's is a broadcast: whichever workers live remember it, and whoever hears it late revokes again what a
person has let run since. So the rows are changed here, by the process that asks, before anything is said: it needs no
worker and no broker, and it has failed if it raises. The workers hear only what is theirs: to end the processes of jobs
that run, and to revoke tasks that are no jobs.
"""

import sys
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from celery.app.control import Control as CelerysControl
from celery.utils.functional import maybe_list
from django.db import transaction

from jobs import asker, connections, orders
from jobs.ids import parsed
from jobs.ledger import Cancelled
from jobs.models import Job

WHO = "Flower" if "flower" in sys.argv else "Celery's control"
WHY = "revoked"
BY_ID, BY_STAMPS = ("revoke", "terminate"), "revoke_by_stamped_headers"


class Control(CelerysControl):
    def broadcast(self, command: str, arguments: Any = None, *args: Any, **options: Any) -> Any:
        """As Celery's. With `reply` the ledger answers first, with a receipt for each job."""
        said = dict(arguments or {})
        if command in BY_ID:
            receipts = cancel(maybe_list(said.get("task_id")) or [])
            said["task_id"] = [one for one in maybe_list(said.get("task_id")) or [] if one not in receipts]
        elif command == BY_STAMPS:
            receipts = cancel(stamped(said["headers"]))
            said["jobs"] = False  # the workers need not look for them
        else:
            return super().broadcast(command, arguments, *args, **options)
        flying = [pk for pk, receipt in receipts.items() if receipt == Cancelled.IN_FLIGHT]
        if flying and (said.get("terminate") or command == "terminate"):
            end = {"ids": flying, "signal": said.get("signal")}
            transaction.on_commit(partial(super().broadcast, "end_jobs", end))
        answers = [{"ledger": told(receipts)}] if receipts else []
        if not receipts or said.get("task_id") or command == BY_STAMPS:
            answers += super().broadcast(command, said, *args, **options) or []
        return answers if options.get("reply") else None


def cancel(ids: Iterable[Any], by: str = "") -> dict[str, Cancelled]:
    """What became of each of the ids that is a job's."""
    asked, by = {pk: str(one) for one in ids if (pk := parsed(one))}, by or asker.told(WHO)
    connections.refresh()
    try:
        return {asked[pk]: receipt for pk, receipt in orders.cancel(asked, by=by, reason=WHY).items()}
    finally:
        connections.leave()  # Flower asks on some thread of many, a worker in the process that it forks from


def stamped(headers: Any) -> list[uuid.UUID]:
    """The unfinished jobs that carry one of the stamps, `{name: value or values}` or a list of "name=value".

    Reads every unfinished row that has stamps of that name; there is no index for it.
    """
    connections.refresh()
    wanted: Mapping[str, Any] = dict(h.split("=", 1) for h in headers) if isinstance(headers, list) else headers
    found = set()
    for name, stamps in wanted.items():
        rows = Job.objects.unfinished().filter(options__has_key=name)
        values = {str(stamp) for stamp in maybe_list(stamps)}
        for pk, options in rows.values_list("pk", "options"):
            marks = {str(stamp) for stamp in maybe_list(options[name])}
            if name in options.get("stamped_headers", ()) and values & marks:
                found.add(pk)
    return sorted(found)


def told(receipts: Mapping[str, Cancelled]) -> dict[str, str]:
    """As workers answer."""
    return {"ok": "; ".join(f"{pk}: {receipt}" for pk, receipt in receipts.items())}
