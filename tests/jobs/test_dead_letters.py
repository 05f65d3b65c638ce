"""A worker that starts says what failed for good before it came."""

import logging

import pytest
from django.db import connection

from jobs import dead_letters
from tests.factories import make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _kept_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's transaction is on it."""
    monkeypatch.setattr(connection, "close", lambda: None)


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """By this module: threads that an earlier test has left behind may have something to say as well."""
    return [line for line in caplog.records if line.name == "jobs.dead_letters"]


def test_the_failed_jobs_by_task_in_one_line_and_one_statement(caplog, django_assert_num_queries) -> None:
    make_job("failed"), make_job("failed"), make_job("failed", task="probe.fail"), make_job(), make_job("cancelled")
    with django_assert_num_queries(1), caplog.at_level(logging.INFO, "jobs.dead_letters"):
        dead_letters.tell()
    (line,) = said(caplog)
    assert line.levelname == "WARNING"
    assert line.getMessage() == "dead letters: 3 failed jobs wait for a person: probe.ok=2 probe.fail=1"


def test_none_is_said_as_well(caplog) -> None:
    with caplog.at_level(logging.INFO, "jobs.dead_letters"):
        dead_letters.tell()
    assert [line.getMessage() for line in said(caplog)] == ["dead letters: none"]


def test_of_very_many_some_are_counted(caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MOST", 2)
    for _ in range(3):
        make_job("failed")
    dead_letters.tell()
    assert "at least 2 failed jobs" in caplog.text
