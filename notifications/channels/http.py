"""HTTP requests that end in time and tell whether anything was sent. For webhooks and the providers of SMS.

`NotReached` means that not one byte of the request left; `NoAnswer` that some did and no whole answer came. The total
limit holds against servers that hang, drip or never stop (`deadline`). No redirects, no proxies of the
environment, no retries; connections are kept and used again while they are fresh.
"""

import http.client
import socket
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from notifications.channels.deadline import Deadline, limit

FRESH = 4.0  # seconds; a server that closes an idle connection while we write makes a doubt of a message
LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes. An answer's body beyond `body` is not read."""

    connect: float = 5.0
    read: float = 10.0  # between two pieces of the answer
    total: float = 20.0
    body: int = 64 * 1024


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    whole: bool  # False: the body broke off, or was too long


class NotReached(Exception):
    """Nothing was sent. The text holds no address."""


class Forbidden(NotReached):
    """The name stands for an address that may not be reached."""


class NoAnswer(Exception):
    """Something was sent, and what came back, if anything, was no answer."""


class _Call:
    """One request: its deadline, whom it may reach, and how far it came."""

    def __init__(self, limits: Limits, allowed: Callable[[str], bool], deadline: Deadline) -> None:
        self.limits, self.allowed, self.deadline = limits, allowed, deadline
        self.handed_over = False

    def connect(self, host: str, port: int) -> socket.socket:
        """Resolve once and connect to just what was judged, so that a second answer of the resolver changes nothing."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if not found or not all(self.allowed(str(target[0])) for *_, target in found):
            raise Forbidden("the name stands for an address that is not public")
        failed: OSError = TimeoutError()
        for family, kind, protocol, _, target in found:
            if self.deadline.left <= 0:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(min(self.limits.connect, self.deadline.left))
                sock.connect(target)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as exc:
                sock.close()
                failed = exc
                continue
            self.deadline.watch(sock)
            return sock
        raise failed


_call: ContextVar[_Call] = ContextVar("call")


class _Told:
    """What both kinds of connection tell the call that uses them."""

    sock: Any
    _used_at = 0.0

    def _new_conn(self: Any) -> socket.socket:
        return _call.get().connect(self._dns_host, self.port)

    def send(self: Any, data: Any) -> None:
        if self.sock is None:
            self.connect()
        call = _call.get()
        call.deadline.watch(self.sock)
        call.handed_over = True
        self._used_at = time.monotonic()
        super().send(data)  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        return bool(super().is_connected) and time.monotonic() - self._used_at < FRESH  # type: ignore[misc]


class _Http(_Told, HTTPConnection):
    pass


class _Https(_Told, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class Client:
    """Keeps connections of one kind of use. `allowed(ip)` judges every address before a connection is opened."""

    def __init__(self, allowed: Callable[[str], bool], ca_file: Callable[[], str | None] = lambda: None) -> None:
        self._allowed, self._ca_file = allowed, ca_file
        self._pools: urllib3.PoolManager | None = None

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limits: Limits | None = None
    ) -> Answer:
        """Raises NotReached (Forbidden) or NoAnswer."""
        limits = limits or Limits()
        with limit(limits.total) as deadline:
            call = _Call(limits, self._allowed, deadline)
            mark = _call.set(call)
            try:
                return self._ask(method, url, headers, body, limits)
            except Forbidden:
                raise
            except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as exc:
                why = "time over" if deadline.over else type(exc).__name__
                raise (NoAnswer if call.handed_over else NotReached)(why) from None
            finally:
                _call.reset(mark)

    def forget(self) -> None:
        """Close what is kept open."""
        pools, self._pools = self._pools, None
        if pools is not None:
            pools.clear()

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limits: Limits) -> Answer:
        response = self._open().request(
            method,
            url,
            body=body,
            headers={"user-agent": "Punctual"}
            | {name.lower(): value for name, value in headers.items()}
            | {"accept-encoding": "identity"},
            timeout=urllib3.Timeout(connect=limits.connect, read=limits.read),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,  # a small answer may unpack to a very large one
        )
        try:
            text, whole = response.read(limits.body + 1), True
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError):
            text, whole = b"", False
        if whole and len(text) <= limits.body:
            response.release_conn()
        else:
            response.close()
        return Answer(response.status, response.headers, text[: limits.body], whole and len(text) <= limits.body)

    def _open(self) -> urllib3.PoolManager:
        if self._pools is None:
            self._pools = urllib3.PoolManager(num_pools=50, maxsize=8, ca_certs=self._ca_file())
            self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return self._pools


def retry_after(value: str | None, now: datetime | None = None) -> timedelta | None:
    """The header of that name: seconds, or a date. None if it is neither; a day at most, and never negative."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    wait = at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))
    return min(max(wait, timedelta()), LONGEST_WAIT)
