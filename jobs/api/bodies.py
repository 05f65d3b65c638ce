"""What may come in: a body of JSON within limits, and only query names that the operation knows.

Called by `door` before anything reads a request. The promise: what passes is text that any database keeps, of bounded
size and depth; what does not gets a 4xx that says which limit it met.
"""

import json
import math
import re
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, QueryDict
from django.http.request import UnreadablePostError
from ninja.parser import Parser
from ninja.types import DictStrAny

from jobs.api.problems import Problem

LARGEST = 1024 * 1024  # bytes
DEEPEST = 32
LONGEST_QUERY = 8_000  # bytes
LONGEST_NUMBER = 300  # digits
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # NUL, and halves of surrogate pairs: no database takes them


class Checked(Parser):
    """Gives out what `read` has read."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        body: DictStrAny = read(request)
        return body


def read(request: HttpRequest) -> Any:
    """The body, once. Raises Problem 400, 413 or 415."""
    if not hasattr(request, "_punctual_body"):
        request._punctual_body = _read(request)  # type: ignore[attr-defined]
    return request._punctual_body  # type: ignore[attr-defined]


def _read(request: HttpRequest) -> Any:
    if request.content_type != "application/json":
        raise Problem(415, "Send the body as application/json.")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem(415, "Send the body as it is, not compressed.")
    raw = raw_of(request)
    try:
        body = json.loads(raw.decode("utf-8"), **HOOKS)
    except RecursionError:
        raise Problem(400, f"The body is nested deeper than {DEEPEST}.") from None
    except ValueError as exc:  # not JSON, not UTF-8, a number of thousands of digits
        raise Problem(400, f"The body is not JSON: {exc}") from exc
    check(body)
    return body


def check_none(raw: bytes) -> None:
    """Of an operation that reads none. Raises Problem 422: what is said there would be ignored."""
    if b"".join(raw.split()) not in (b"", b"{}"):
        raise Problem(422, "This takes no body, and would ignore what it says. Leave it out.")


def raw_of(request: HttpRequest) -> bytes:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > LARGEST:
        raise Problem(413, f"The body is larger than {LARGEST} bytes.")
    try:
        raw = request.body
    except RequestDataTooBig as exc:
        raise Problem(413, f"The body is larger than {LARGEST} bytes.") from exc
    except UnreadablePostError as exc:
        raise Problem(400, "The body did not arrive whole.") from exc
    return raw


def check(value: Any, depth: int = 0) -> None:
    """Raises Problem 400 for what is too deep, or has text that no database keeps."""
    if depth > DEEPEST:
        raise Problem(400, f"The body is nested deeper than {DEEPEST}.")
    if isinstance(value, str):
        check_text(value, "The body")
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_text(key, "The body")
            check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check(inner, depth + 1)


def check_text(text: str, where: str) -> None:
    if UNSTORABLE.search(text):
        raise Problem(400, f"{where} has a NUL or half a surrogate pair, which no text has.")


def check_query(query: QueryDict, known: set[str], lists: set[str], raw: str) -> None:
    """Raises Problem for names that the operation does not know: a filter that is misspelt must not select all."""
    if len(raw) > LONGEST_QUERY:
        raise Problem(413, f"The query is longer than {LONGEST_QUERY} bytes.")
    if unknown := sorted(set(query) - known):
        names = ", ".join(sorted(known)) or "none"
        raise Problem(422, f"There is no parameter {unknown[0]!r} here. There are: {names}.")
    for name, values in query.lists():
        if len(values) > 1 and name not in lists:
            raise Problem(422, f"{name} is given {len(values)} times; give it once.")
        for value in values:
            check_text(value, name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two values for one name: which one counts is what attacks are made of."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:100]!r} is there twice")
        found[name] = value
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number has more than {LONGEST_NUMBER} digits")
    return int(text)


def _finite(text: str) -> float:
    """1e400 would be read as Infinity, which JSON has not: PostgreSQL would not keep it."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:100]} is too large a number")
    return number


HOOKS: dict[str, Any] = {
    "object_pairs_hook": _once,
    "parse_constant": _no_number,
    "parse_int": _whole,
    "parse_float": _finite,
}
