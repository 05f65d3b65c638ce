"""A provider on loopback, over real sockets, with its own log: what it got, and an answer as bad as one likes."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

CERTIFICATE = Path(__file__).parent / "certificates" / "loopback.pem"
GIVES_UP = 60  # seconds after which a server that hangs or drips ends it: whoever is through before has ended it itself
PATIENT = {"connect": 30.0, "read": 30.0, "total": 60.0}  # limits that a busy machine keeps
# One limit for each way to be slow. The read may be over before the server has looked, which makes no difference to
# the caller; the whole must not be over before the request has left.
HANGING, DRIPPING = PATIENT | {"read": 0.1}, PATIENT | {"total": 2.0}


@dataclass
class Request:
    line: str
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


Behaviour = Callable[[socket.socket, Request], None]


@dataclass
class Provider:
    port: int
    scheme: str
    log: list[Request] = field(default_factory=list)
    connections: int = 0
    answer: "Behaviour" = lambda sock, request: None
    on_connect: "Callable[[socket.socket], bool] | None" = None  # True: this connection is done

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def asked(self, times: int = 1) -> int:
        """How often, as soon as it was so often: who does not wait for an answer may be through before we have read."""
        end = time.monotonic() + GIVES_UP
        while len(self.log) < times and time.monotonic() < end:
            time.sleep(0.01)
        return len(self.log)


def reply(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda sock, request: sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes) -> Behaviour:
    """Exactly these bytes, and the end."""

    def answer(sock: socket.socket, request: Request) -> None:
        sock.sendall(data)
        sock.close()

    return answer


def reset(sock: socket.socket, request: Request | None = None) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def drip(head: bytes, piece: bytes, every: float = 0.05) -> Behaviour:
    """A head, and then a piece again and again, for ever."""

    def answer(sock: socket.socket, request: Request) -> None:
        sock.sendall(head)
        end = time.monotonic() + GIVES_UP
        while time.monotonic() < end:
            sock.sendall(piece)
            time.sleep(every)  # the pace of the drip, not a wait for anything

    return answer


def hang(sock: socket.socket, request: Request) -> None:
    """Never answer: until the other side has had enough."""
    sock.settimeout(GIVES_UP)
    sock.recv(1)


@contextmanager
def serving(*, tls: bool = False) -> Iterator[Provider]:
    listener = socket.create_server(("127.0.0.1", 0))
    provider = Provider(listener.getsockname()[1], "https" if tls else "http")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))

    def serve(sock: socket.socket) -> None:
        try:
            if provider.on_connect and provider.on_connect(sock):
                return
            if tls:
                sock = context.wrap_socket(sock, server_side=True)
            while (request := _read(sock)) is not None:
                provider.log.append(request)
                provider.answer(sock, request)
        except (OSError, ValueError):  # gone, or closed by the answer
            return
        finally:
            sock.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            provider.connections += 1
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield provider
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _read(sock: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := sock.recv(65536)):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        if not (more := sock.recv(65536)):
            return None
        body += more
    return Request(line, headers, body)
