"""Fixtures that everyone needs: a worker in this process, the machine's servers, and no way to skip in silence."""

import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from celery import current_app as _current_app
from django.db import connection
from django.utils import translation
from kombu.transport import memory

from jobs import testing
from jobs.hold import Witness
from notifications.channels import email, email_apis, sms, webhook
from notifications.models import ReminderRule
from tests import (
    probes,  # noqa: F401  registers the sample tasks
    selection,
)
from tests.stack import ready

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# A shell that starts us in the background has us ignore these, and what we start would never hear a Ctrl-C.
for number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

InProcessWorker = testing.Worker
current_app: Any = _current_app  # its channel is the in-process transport's, which the stubs do not know
SERVERS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(selection.OPTION, action="store_true", help="only tests that use it (tests/selection.py)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return selection.can_be_left_out(collection_path, config.getoption("markexpr")) or None


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # whoever runs the tests; the processes of xdist have its environment
        ready.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        ready.forget()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if selection.is_wide(item.path):
            item.add_marker(pytest.mark.wide)
    if config.getoption(selection.OPTION):
        others = [item for item in items if not selection.uses_database(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """After a test that commits, Django empties all tables, and before the next fills them as migrations had.

    Here both are a few statements. TRUNCATE would make new files of each table and index, and have them all written to
    the disk; and the first rows would be saved one by one. That was seconds a test, and most of a run on PostgreSQL.
    """
    filled = []
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        for name in names:
            cursor.execute(f'CREATE TABLE "kept_{name}" AS SELECT * FROM "{name}"')
            cursor.execute(f'SELECT * FROM "{name}" LIMIT 0')
            columns = ", ".join(f'"{column[0]}"' for column in cursor.description)  # a migration may reorder them
            filled.append(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM "kept_{name}"')
    emptied = [f'DELETE FROM "{name}"' for name in names]

    def as_at_first(_style: Any, tables: list[str], *, reset_sequences: bool = False, **_: Any) -> list[str]:
        assert set(tables) == set(names) and not reset_sequences
        return [*emptied, *filled]  # foreign keys are looked at when it commits

    kept: Any = connection
    kept.ops.sql_flush = as_at_first
    kept._test_serialized_contents = "[]"  # nothing is left to be done


@pytest.fixture(autouse=True)
def _empty_broker() -> None:
    """The in-process broker is global: what one test left there is not the next one's."""
    if not current_app.amqp.queues.keys() <= memory.Channel.queues.keys():
        with current_app.connection_for_write() as connection:
            for queue in current_app.amqp.queues.values():
                queue(connection.default_channel).declare()
    for kept in memory.Channel.queues.values():
        with kept.mutex:
            kept.queue.clear()


@pytest.fixture(autouse=True)
def _clock_seen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has watched the clock for five minutes releases a hold, in the middle of a long run too."""
    monkeypatch.setattr("jobs.ticks._witness", Witness())


@pytest.fixture(autouse=True)
def _no_kept_connection() -> Iterator[None]:
    """Channels keep their connections; the next test has other settings."""
    yield
    email.close()
    for kept in (email_apis.client, sms.client, webhook.client):
        kept.forget()


@pytest.fixture(autouse=True)
def _language_of_settings() -> Iterator[None]:
    """A request in German leaves its thread in German, as Django has it until the next request."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _by_day(request: pytest.FixtureRequest) -> None:
    """Tests run at any hour, at three in the morning too: quiet hours are only for those that are marked `night`."""
    uses_rules = request.path.parent.name in ("notifications", "stories", "stack", "api")
    if uses_rules and request.node.get_closest_marker("django_db") and not request.node.get_closest_marker("night"):
        request.getfixturevalue("db")
        ReminderRule.objects.update(quiet_from=None, quiet_until=None)


@pytest.fixture
def worker(db: None) -> Iterator[InProcessWorker]:
    with testing.worker() as made:
        yield made


def require(name: str) -> None:
    """Skips where that server does not answer, unless CI says that it has to."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", SERVERS[name])) == 0:
            return
    if name in os.environ.get("REQUIRE_SERVERS", "").split():
        pytest.fail(f"{name} is required here and does not answer on port {SERVERS[name]}")
    pytest.skip(f"{name} does not answer on port {SERVERS[name]}")


@pytest.fixture
def need_server() -> Callable[[str], None]:
    """`need_server("postgres")` is `require("postgres")`."""
    return require


def rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *words], check=True, capture_output=True, timeout=180)


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Half characters in what a test logged do not pass between the processes that run tests side by side."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
