"""Rows of systems of one's own, a mock among them: a name, its data, a time, an id. See docs/migrating.md."""

from typing import Any

from jobs.transfer.owed import BadRow, Owed, Record, moment, number, span

# ours: what others call it
NAMES = {
    "name": ("type", "task", "name"),
    "data": ("data", "payload"),
    "id": ("id", "jobId", "key"),
    "run_at": ("run_at", "runAt", "scheduledFor", "when"),
    "state": ("state", "status"),
    "priority": ("priority",),
    "attempts": ("attempts", "max_attempts", "maxRetries"),
    "options": ("options",),
}
STATES = {
    **dict.fromkeys(("", "scheduled", "waiting", "pending", "delayed", "queued"), "scheduled"),
    **dict.fromkeys(("running", "active"), "running"),
    **dict.fromkeys(("succeeded", "completed", "done"), "succeeded"),
    **{"failed": "failed", "cancelled": "cancelled", "canceled": "cancelled"},
}


def is_one(record: Record) -> bool:
    return any(name in record for name in ("type", "task"))


def read(record: Record) -> Owed:
    """Raises BadRow."""
    known = {other: name for name, others in NAMES.items() for other in others}
    said: dict[str, Any] = {}
    for other, value in record.items():
        if other not in known:
            raise BadRow(f"{other!r} is not known here; the names are {', '.join(sorted(known))}")
        if known[other] in said:
            raise BadRow(f"{other!r} says again what another name says")
        said[known[other]] = value
    options = dict(said.pop("options", None) or {})
    if odd := sorted(options.keys() - {"priority", "delay", "attempts", "jobId"}):
        raise BadRow(f"options.{odd[0]} is not known here")
    pk = said.get("id", options.get("jobId"))
    if pk in (None, ""):
        raise BadRow("it has no id, by which a second import would know it")
    state = str(said.get("state") or "")
    if state not in STATES:
        raise BadRow(f"the state {state!r} is not known; there are {', '.join(sorted(filter(None, STATES)))}")
    if options.get("delay"):
        raise BadRow(f"a delay of {span(options['delay'], 'delay')} counts from a moment that is not told; give runAt")
    return Owed(
        name=str(said.get("name") or ""),
        data=said.get("data") or {},
        key=str(pk),
        chosen=True,
        state=STATES[state],
        run_at=moment(said.get("run_at"), "run_at"),
        priority=said.get("priority", options.get("priority")),
        attempts=number(said.get("attempts", options.get("attempts")), "attempts") or None,
    )
