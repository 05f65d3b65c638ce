"""How a line of the log is written: `Text` for people, `Json` for programs, one object a line.

Named in `logs` and in gunicorn.conf.py. The promise: no address of a customer. What a task raised is told by its class
and its place in the code alone: the words of such an error are often the customer's, and are kept with the attempt, for
those who may see them. Of other errors the first line is told. Whatever still looks like an address or a number of a
telephone is masked. Of what libraries attach to a line (a request, arguments) nothing is written.
"""

import json
import logging
import os
import re
import socket
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from jobs import subject

ADDRESS = re.compile(r"[\w.%+'-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d]{2,}")
NUMBER = re.compile(r"(?<![\w.:])\+\d(?:[ ()/-]{0,2}\d){6,14}(?!\w)")
LONGEST = 300  # letters of an error
OF_TASKS = "celery.app.trace"  # says what a task raised, in its message too


def masked(text: str) -> str:
    return NUMBER.sub("[number]", ADDRESS.sub("[address]", text))


class Text(logging.Formatter):
    """2027-03-24 11:00:00,123 INFO jobs.executor job=..."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.name} {said(record)}"
        return "\n".join(filter(None, (line, *story(record))))


class Json(logging.Formatter):
    """time (UTC), level, logger, message, worker (host:pid); in a job also which; of an error also what and where."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": moment.replace("+00:00", "Z"), "level": record.levelname, "logger": record.name}
        line |= {"message": said(record), "worker": f"{socket.gethostname()}:{os.getpid()}"}
        about = subject.fields() or {}
        line |= {name: masked(value) if isinstance(value, str) else value for name, value in about.items()}
        if raised := _raised(record):
            line |= {"error": type(raised).__qualname__, "traceback": "\n".join(story(record))}
        return json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def said(record: logging.LogRecord) -> str:
    """The message, without the words of what a task raised."""
    if record.name != OF_TASKS or not isinstance(record.args, dict):
        return masked(record.getMessage())
    raised = _raised(record)
    words = {"exc": type(raised).__qualname__ if raised else "an error", "traceback": "", "args": "", "kwargs": ""}
    return masked(str(record.msg) % {**record.args, **words})


def story(record: logging.LogRecord) -> Iterator[str]:
    """The error of a line, and what led to it, each with its places in the code; the first of them comes first."""
    raised, told = _raised(record), record.name != OF_TASKS and not subject.known()
    chain: list[BaseException] = []
    while raised and raised not in chain:
        chain.append(raised)
        raised = raised.__cause__ or (None if raised.__suppress_context__ else raised.__context__)
    for one in reversed(chain):
        last = record.exc_info[2] if record.exc_info and one is chain[0] else None
        yield from (line.rstrip("\n") for line in traceback.format_tb(last or one.__traceback__))
        words = str(one).strip().partition("\n")[0][:LONGEST] if told else ""
        yield f"{type(one).__module__}.{type(one).__qualname__}{': ' if words else ''}{masked(words)}"


def _raised(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None
