"""Fixtures that everyone needs: a worker in this process, the machine's servers, and no way to skip in silence."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
from celery import current_app as _current_app
from celery.app.trace import setup_worker_optimizations, trace_task_ret

from jobs import dispatcher
from notifications.channels import email, email_apis, sms, webhook
from notifications.models import ReminderRule
from tests import probes  # noqa: F401  registers the sample tasks

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

current_app: Any = _current_app  # its channel is the in-process transport's, which the stubs do not know
SERVERS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672}


@pytest.fixture(autouse=True)
def _empty_broker() -> None:
    """The in-process broker is global: what one test left there is not the next one's."""
    with current_app.connection_for_write() as connection:
        for queue in current_app.amqp.queues:
            connection.default_channel.queue_purge(queue) if _declared(connection, queue) else None


@pytest.fixture(autouse=True)
def _no_kept_connection() -> Iterator[None]:
    """Channels keep their connections; the next test has other settings."""
    yield
    email.close()
    for kept in (email_apis.client, sms.client, webhook.client):
        kept.forget()


@pytest.fixture(autouse=True)
def _by_day(request: pytest.FixtureRequest) -> None:
    """Tests run at any hour, at three in the morning too: quiet hours are only for those that are marked `night`."""
    uses_rules = request.path.parent.name in ("notifications", "stories", "stack")
    if uses_rules and request.node.get_closest_marker("django_db") and not request.node.get_closest_marker("night"):
        request.getfixturevalue("db")
        ReminderRule.objects.update(quiet_from=None, quiet_until=None)


def _declared(connection: Any, queue: str) -> bool:
    current_app.amqp.queues[queue](connection.default_channel).declare()
    return True


class InProcessWorker:
    """Takes messages from the in-process broker and runs them through the code that a pool process runs."""

    def __init__(self) -> None:
        setup_worker_optimizations(current_app._get_current_object())
        current_app.use_fast_trace_task = False
        from celery.app.trace import build_tracer

        for name, task in current_app.tasks.items():
            task.__trace__ = build_tracer(name, task, current_app.loader, app=current_app)

    def messages(self) -> list[Any]:
        """Take everything that waits at the broker, in order."""
        taken = []
        with current_app.connection_for_write() as connection:
            channel = connection.default_channel
            for queue in current_app.amqp.queues:
                while (message := channel.basic_get(queue, no_ack=True)) is not None:
                    taken.append(channel.message_to_python(message) if isinstance(message, dict) else message)
        return taken

    def run(self, message: Any) -> tuple[int, Any, float | None]:
        """Run one message. Returns what a pool process tells its parent: (failed, value, seconds)."""
        request = dict(message.headers) | {"properties": message.properties, "delivery_info": message.delivery_info}
        return trace_task_ret(
            request["task"],
            request["id"],
            request,
            message.body,
            message.content_type,
            message.content_encoding,
            app=current_app._get_current_object(),
        )

    def run_all(self) -> list[tuple[int, Any, float | None]]:
        return [self.run(message) for message in self.messages()]

    def run_due(self, now: Any = None) -> list[tuple[int, Any, float | None]]:
        """Dispatch what is due at `now` and run it."""
        dispatcher.dispatch_due(now)
        return self.run_all()


@pytest.fixture
def worker(db: None, monkeypatch: pytest.MonkeyPatch) -> InProcessWorker:
    # Threads have connections of their own, which do not see what the test's transaction has not committed.
    monkeypatch.setattr("jobs.recorder.LONGEST_WAIT", timedelta(hours=1))
    monkeypatch.setattr("jobs.heartbeat.INTERVAL", timedelta(hours=1))
    return InProcessWorker()


@pytest.fixture
def need_server() -> Callable[[str], None]:
    """`need_server("postgres")` skips where that server does not answer, unless CI says that it has to."""

    def need(name: str) -> None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", SERVERS[name])) == 0:
                return
        if name in os.environ.get("REQUIRE_SERVERS", "").split():
            pytest.fail(f"{name} is required here and does not answer on port {SERVERS[name]}")
        pytest.skip(f"{name} does not answer on port {SERVERS[name]}")

    return need


def rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture
def virtual_host(need_server: Callable[[str], None]) -> Iterator[str]:
    """An empty virtual host of RabbitMQ, for one test: others may use the same server."""
    need_server("rabbitmq")
    if not shutil.which("rabbitmqctl"):
        pytest.skip("rabbitmqctl is not here")
    name = f"punctual-test-{uuid.uuid4().hex[:8]}"
    rabbitmqctl("add_vhost", name)
    rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    yield name
    rabbitmqctl("delete_vhost", name)
