"""Celery's canvas on rows: what a job calls when it is done, and which group waits for it.

Used by `Durable` when a call becomes a row, by the executor when the row becomes a call, and by the ledger when a job
fails. A callback gets its id before it is stored, so a job that runs again calls the same one, and a chain cannot fork.
"""

import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from celery import current_app
from celery.canvas import Signature, chain, chord, group, maybe_signature
from celery.utils.functional import maybe_list
from django.db import DataError, transaction
from kombu.utils import json as kombu_json

from jobs.models import Job

logger = logging.getLogger(__name__)

OUT = "Leave the key out, or call the job by itself."
LINKS = frozenset({"link", "link_error", "chain"})
REQUEST = {"link": "callbacks", "link_error": "errbacks"}  # what Celery calls them in task.request


# --- A call becomes a row -------------------------------------------------------------------------------


def unkeyed(called: Any, what: str) -> None:
    """Raises TypeError where a part has a unique_key: its handle has an id already, and the first job has another."""
    for one in _calls(called):
        if one["options"].get("unique_key"):
            raise TypeError(
                f"{one['task']} has a unique_key and is {what}, which knows its jobs by ids given before. {OUT}"
            )


def links(pk: uuid.UUID, options: Mapping[str, Any]) -> dict[str, Any]:
    """The callbacks, errbacks and next steps of job `pk`, ready to be stored."""
    found: dict[str, Any] = {}
    for name in sorted(LINKS & options.keys()):
        given = maybe_list(options[name]) or []
        signatures: list[Any] = [maybe_signature(one, app=current_app, clone=True) for one in given]
        for position, one in enumerate(signatures):
            if name == "chain":
                unkeyed(one, "a step of a chain")
            if name == "link_error":
                _check_errback(one)
            else:
                one.freeze(str(uuid.uuid5(pk, f"{name}:{position}")))
        if signatures:
            found[name] = signatures
    return found


def _check_errback(errback: Signature) -> None:
    """Here and not when something has failed already."""
    if is_durable(errback) and not errback.immutable and not isinstance(errback, group | chain | chord):
        try:
            errback.type.__header__("id", *errback.args, **errback.kwargs)
        except TypeError as exc:
            raise TypeError(f"{errback.task} as link_error is called with the failed job's id: {exc}") from exc


def plain(value: Any) -> Any:
    """Signatures and what they hold, as JSON values. `signature` reads them back."""
    return json.loads(kombu_json.dumps(_lists(value)))


def _lists(value: Any) -> Any:
    """Celery's lazy lists are lists that json takes to be empty."""
    if isinstance(value, Mapping):
        return {str(key): _lists(one) for key, one in value.items()}
    return [_lists(one) for one in value] if isinstance(value, list | tuple) else value


def signature(stored: Any) -> Any:
    return maybe_signature(rich(stored), app=current_app)


def rich(stored: Any) -> Any:
    """JSON values with the dates and ids in them read back, as a message would carry them."""
    return kombu_json.loads(json.dumps(stored))


def membership(options: Mapping[str, Any]) -> tuple[Any, int | None]:
    """The (group_id, group_index) of a call: of itself, or of the last step of the chain that it begins."""
    if options.get("group_id"):
        return options["group_id"], options.get("group_index")
    steps = maybe_list(options.get("chain")) or []  # the last one comes first
    return (_leads_to(steps[0]), None) if steps else (None, None)


def _leads_to(step: Mapping[str, Any]) -> Any:
    """The group whose chord waits for the end of this signature."""
    if step.get("subtask_type") == "chord":
        return _leads_to(step["kwargs"]["body"])
    if step.get("subtask_type") == "chain":
        return _leads_to(step["kwargs"]["tasks"][-1])
    return step["options"].get("group_id") if step["options"].get("chord") else None


def is_durable(sig: Any) -> bool:
    """Whether all that the signature calls are jobs."""
    return all(getattr(current_app.tasks.get(one["task"]), "is_durable", False) for one in _calls(sig))


def _calls(sig: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The single calls that it is made of."""
    inner = sig["kwargs"]
    if sig.get("subtask_type") in ("chain", "group"):
        for one in inner["tasks"]:
            yield from _calls(one)
    elif sig.get("subtask_type") == "chord":
        if inner["body"] is not None:  # else it is given when the chord is called
            yield from _calls(inner["body"])
        header = inner["header"]
        for one in header["kwargs"]["tasks"] if isinstance(header, Mapping) else header:
            yield from _calls(one)
    else:
        yield sig


# --- The row becomes a call -----------------------------------------------------------------------------


def request(job: Job) -> dict[str, Any]:
    """What the options put into `task.request`; Celery's tracer calls the callbacks and the next step from there."""
    context: dict[str, Any] = {"group": str(job.group_id) if job.group_id else None, "group_index": job.group_index}
    context["root_id"] = str(job.pk)
    options = rich(job.options) if job.options else {}
    for name, value in options.items():
        if name != "headers":
            context[REQUEST.get(name, name)] = value
    if stamped := options.get("stamped_headers"):
        context["stamps"] = {name: options.get(name) for name in stamped}
    return context


# --- It failed ------------------------------------------------------------------------------------------


def call_errbacks(moved: Iterable[Job]) -> None:
    """Insert the errbacks of those jobs that have just failed for good; in the transaction that says so."""
    failed = [job.pk for job in moved if job.state == Job.State.FAILED]
    if failed:
        for pk, options in Job.objects.filter(pk__in=failed, options__has_key="link_error").values_list(
            "pk", "options"
        ):
            errbacks(str(pk), options["link_error"], root_id=options.get("root_id"))


def errbacks(failed: str, stored: Any, *, root_id: str | None = None) -> None:
    """Call errbacks with the id of what failed: as jobs, whatever their arity, and the plain ones after the commit."""
    for one in maybe_list(stored) or []:
        call(one, (failed,), parent_id=failed, root_id=root_id or failed)


def call(stored: Any, args: tuple[Any, ...], **options: Any) -> bool:
    """Call a stored signature. What cannot be called is logged: it must not undo what led here."""
    try:
        with transaction.atomic():
            sig = signature(stored)
            send = partial(sig.apply_async, args, **options)
            if is_durable(sig):
                send()
            else:
                transaction.on_commit(send, robust=True)
    except (TypeError, ValueError, LookupError, DataError):
        logger.exception("callback not called task=%s parent=%s", stored.get("task"), options.get("parent_id"))
        return False
    return True
