"""The broker's epoch, in a real RabbitMQ and a real Valkey: it stays as long as the broker's data, and no longer."""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection as database
from kombu import Connection, Queue
from kombu.exceptions import OperationalError

from config.stack.ports import Held
from config.stack.programs import broker_program
from config.stack.supervisor import Supervisor
from jobs import broker
from jobs.models import Clock
from tests.conftest import rabbitmqctl

pytestmark = pytest.mark.django_db


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have `broker` speak to this broker. Returns its pool of connections."""
    pool = Connection(url, connect_timeout=30).Pool(4)
    monkeypatch.setattr(broker, "current_app", SimpleNamespace(pool=pool))
    return pool


@pytest.fixture
def rabbitmq(virtual_host: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pool = use(f"amqp://guest:guest@127.0.0.1:5672/{virtual_host}", monkeypatch)
    yield pool
    pool.force_close_all()


def delete_the_mark(pool: Any, epoch: str) -> None:
    with pool.acquire() as connection, connection.channel() as channel:
        channel.queue_delete(broker.QUEUE + epoch)


def test_rabbitmq_keeps_its_epoch(rabbitmq: Any) -> None:
    first = broker.epoch()
    assert first
    assert [broker.epoch() for _ in range(3)] == [first] * 3
    assert Clock.row().epoch == first


def test_a_rabbitmq_that_lost_its_queues_has_another_epoch(rabbitmq: Any) -> None:
    first = broker.epoch()
    delete_the_mark(rabbitmq, first)
    second = broker.epoch()
    assert second != first
    assert broker.epoch() == second


def test_a_virtual_host_that_was_reset_has_another_epoch(rabbitmq: Any, virtual_host: str) -> None:
    first = broker.epoch()
    rabbitmqctl("delete_vhost", virtual_host)
    with pytest.raises(OperationalError):
        broker.epoch()
    rabbitmqctl("add_vhost", virtual_host)
    rabbitmqctl("set_permissions", "-p", virtual_host, "guest", ".*", ".*", ".*")
    assert broker.epoch() != first


def test_the_epoch_outlives_a_broken_connection(rabbitmq: Any, virtual_host: str) -> None:
    first = broker.epoch()
    rabbitmqctl("close_all_connections", "--vhost", virtual_host, "for the test")
    with pytest.raises(OperationalError):
        broker.epoch()  # this tick is lost
    assert broker.epoch() == first  # and the next one reconnects


def test_a_dispatcher_that_comes_second_takes_the_firsts_epoch(rabbitmq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read a row without an epoch; then the other one's UPDATE comes before ours."""
    theirs, real = str(uuid.uuid4()), Clock.row

    def read_just_before_the_other_writes() -> Clock:
        monkeypatch.setattr(Clock, "row", real)
        read = real()
        with rabbitmq.acquire() as connection, connection.channel() as channel:
            lasting = {"durable": True, "auto_delete": False}
            channel.queue_declare(broker.QUEUE + theirs, arguments={"x-expires": broker.UNUSED}, **lasting)
        Clock.objects.update(epoch=theirs)
        return read

    monkeypatch.setattr(Clock, "row", read_just_before_the_other_writes)
    assert broker.epoch() == theirs


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_dispatchers_that_start_at_once_agree(rabbitmq: Any) -> None:
    if database.vendor == "sqlite":
        pytest.skip("the tests' SQLite lives in memory, which threads cannot share without locking each other out")
    found, together = [], threading.Barrier(4)

    def look() -> None:
        together.wait(timeout=30)
        found.append(broker.epoch())
        database.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == 4 and set(found) == {Clock.row().epoch}


@pytest.fixture
def valkey_url(tmp_path: Path) -> Iterator[str]:
    supervisor = Supervisor(lambda name, line: None, cwd=tmp_path)
    with Held() as held:
        supervisor.add([broker_program(tmp_path / "valkey", held.ports[0])])
        supervisor.start()
        supervisor.wait_ready()
        yield f"redis://127.0.0.1:{held.ports[0]}/0"
        supervisor.request_stop()
        supervisor.join()


@pytest.mark.stack
def test_valkey_keeps_its_epoch_until_it_is_flushed(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = use(valkey_url, monkeypatch)
    first = broker.epoch()
    assert first and broker.epoch() == first
    with pool.acquire() as connection:
        connection.default_channel.client.flushall()
    assert broker.epoch() not in ("", first)
    pool.force_close_all()


@pytest.mark.stack
def test_an_unanswered_question_to_the_workers_does_not_disturb_the_epoch(valkey_url: str, monkeypatch) -> None:
    """It leaves a BRPOP behind on the connection that it used, and the connection goes back to the pool."""
    pool = use(valkey_url, monkeypatch)
    first = broker.epoch()
    for _ in range(2):
        with pool.acquire() as connection:
            consumer = connection.Consumer([Queue("replies", auto_delete=True)], no_ack=True)
            consumer.consume()
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.1)
        assert broker.epoch() == first
    pool.force_close_all()


def test_a_broker_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:  # has the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for url in (f"amqp://127.0.0.1:{port}//", f"redis://127.0.0.1:{port}/0"):
            pool = use(url, monkeypatch)
            with pytest.raises(OperationalError):
                broker.epoch()
            pool.force_close_all()


def test_a_broker_without_memory_has_no_epoch() -> None:
    assert broker.epoch() == ""
