"""Clients that send half a request, or take no answer, of gunicorn as in production: others are served all the same."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from config.serving.web import Paced, TooSlow
from jobs.api.problems import MEDIA
from tests.api.hasty import Worker
from tests.api.served import Served, all_of, get, parted, served
from tests.installation import ROOT, installed

THREADS = 4  # as gunicorn.conf.py has it
HEAD = b"GET /health/live HTTP/1.1\r\nHost: 127"
BODY = b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n"
BODY += b"Content-Type: application/x-www-form-urlencoded\r\n\r\nusername="


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = installed(tmp_path_factory.mktemp("web"))
    with made as at, served(at.env, "--worker-class", "tests.api.hasty.Worker") as server:
        yield server


def test_production_has_this_worker() -> None:
    said: dict[str, object] = {}
    exec((ROOT / "gunicorn.conf.py").read_text(), said)
    assert (said["worker_class"], said["threads"]) == ("config.serving.web.Worker", THREADS)


@pytest.mark.parametrize("half", [HEAD, BODY], ids=["half a head", "half a body"])
def test_as_many_half_requests_as_threads_keep_nobody_out(hasty: Served, half: bytes) -> None:
    with ExitStack() as open_:
        for _ in range(2 * THREADS):
            open_.enter_context(hasty.connect(half))
        assert hasty.lives()


def test_a_byte_now_and_then_is_no_way_to_stay(hasty: Served) -> None:
    ended = threading.Event()

    def drip(sock: socket.socket) -> None:
        with suppress(OSError):  # closed by the server: what is waited for
            while not ended.wait(0.1):
                sock.sendall(b"a")

    with hasty.connect(HEAD) as sock:
        dripping = threading.Thread(target=drip, args=[sock])
        dripping.start()
        try:
            with suppress(ConnectionResetError):  # our last byte met a closed socket
                assert all_of(sock) == b""
        finally:
            ended.set()
            dripping.join()


def test_what_comes_at_a_pace_may_take_long() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        paced = Paced(ours, patience=0.2, pace=1.0, taking=1)
        theirs.sendall(b"x" * 100)
        assert len(paced.recv(8192)) == 100  # worth 100 seconds
        later = threading.Timer(0.5, theirs.sendall, [b"the rest"])
        later.start()
        assert paced.recv(8192) == b"the rest"
        later.join()


def test_the_time_is_that_of_one_request() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        paced = Paced(ours, patience=0.0, pace=1e9, taking=1)
        with pytest.raises(TooSlow):
            paced.recv(1)
        theirs.sendall(b"a")
        assert paced.recv(1) == b"a"  # it was here before we looked
        paced._patience = 60.0
        paced.begin()
        theirs.sendall(b"a")
        assert paced.recv(1) == b"a" and ours.gettimeout() is None


def test_who_takes_no_answer_keeps_no_thread() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OSError, match="unavailable"):
        Paced(ours, patience=1.0, pace=1.0, taking=1).sendall(b"x" * 10**8)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (get(f"/api/v1/jobs?cursor={'a' * 9_000}"), 414),
        (get("/api/v1/jobs").replace(b"Host", b"X-Long: " + b"a" * 9_000 + b"\r\nHost"), 431),
        (b"<script>\r\n\r\n", 400),
    ],
    ids=["a long address", "long headers", "no HTTP"],
)
def test_what_gunicorn_answers_itself_is_a_problem_too(hasty: Served, sent: bytes, status: int) -> None:
    code, head, body = hasty.ask(sent)
    told = json.loads(body)
    assert (code, told["status"]) == (status, status)
    assert f"Content-Type: {MEDIA}".encode() in head and f"Content-Length: {len(body)}".encode() in head
    assert {"type", "title", "detail"} <= set(told) and told["detail"]


def test_each_request_of_a_connection_has_its_own_time(hasty: Served) -> None:
    over = time.monotonic() + 2 * Worker.patience
    with hasty.connect() as sock:
        for _ in range(2):
            sock.sendall(get("/health/live").replace(b"close", b"keep-alive"))
            found = b""
            while b'"live"' not in found:
                data = sock.recv(65536)
                assert data, "it was closed"
                found += data
            assert parted(found)[0] == 200
            while time.monotonic() < over:
                assert hasty.lives()
