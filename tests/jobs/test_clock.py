"""A database restart that the rescuer's tick meets first leaves the clock worker with a dead connection."""

import logging
import uuid

import pytest
from celery import current_app
from celery.app.trace import build_tracer
from django.db import connection

from jobs import clock  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def tick(name: str) -> str:
    run = build_tracer(name, current_app.tasks[name], app=current_app)
    answer = run(str(uuid.uuid4()), [], {}, {})
    return str(answer[1].retval) if answer[1] else "ok"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to lose")
def test_the_clock_goes_on_after_the_database_restarted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert tick("jobs.rescue") == "ok"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])  # and until it is gone
        assert cursor.fetchone() == (True,)
    other.close()
    tick("jobs.rescue")  # meets the broken connection
    answers = [tick("jobs.dispatch"), tick("jobs.rescue"), tick("jobs.dispatch")]
    connection.close()
    assert answers[1:] == ["ok", "ok"]
