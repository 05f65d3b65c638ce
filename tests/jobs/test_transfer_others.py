"""Jobs in from Agenda and a mock, and the page that tells of them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django_celery_beat.models import PeriodicTask

from jobs.models import Job, UniqueKey
from tests.jobs.bringing import EXPORTS, PAGE, bring, row as row, told_of

pytestmark = pytest.mark.django_db


def test_the_documents_of_agenda_come_in_once() -> None:
    file = EXPORTS / "agenda.jsonl"
    told = bring(file, "--schedules")
    assert told["counts"] == {"added": 3, "over": 1, "schedules": 2}
    first, second, dead = Job.objects.order_by("kwargs__invoice")
    assert (first.priority, first.run_at) == (10, datetime(2027, 1, 31, 8, tzinfo=UTC))
    assert (second.priority, second.kwargs, second.run_at) == (
        5,
        {"invoice": 8},
        datetime.fromtimestamp(1_801_386_000, UTC),
    )
    assert (dead.state, dead.reason, dead.finished_at) == (
        "failed",
        "no such invoice",
        datetime(2026, 1, 31, 8, 0, 1, tzinfo=UTC),
    )
    made = PeriodicTask.objects.filter(task="probe.invoice")
    daily, every = made.get(interval=None), made.get(crontab=None)
    assert daily.crontab.timezone == ZoneInfo("Europe/Berlin") and every.interval.every == 180
    assert bring(file, "--schedules")["counts"] == {"there": 5, "over": 1}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"lockedAt": {"$date": "2027-01-31T08:00:00Z"}}, "it was running"),
        ({"disabled": True}, "it is disabled"),
        ({"repeatAt": "3:30pm", "repeatInterval": None}, "repeatAt has no counterpart"),
        ({"repeatInterval": "when it rains"}, "neither a cron text nor a span"),
        ({"data": {"invoice": {"$binary": "x"}}}, "$binary has no counterpart in JSON"),
        ({"nextRunAt": {"$date": "2027-01-31T08:00:00"}}, "names no time zone"),
    ],
)
def test_what_agenda_can_and_we_cannot_is_said(row: Callable[..., Path], more: dict[str, Any], says: str) -> None:
    document = {"_id": {"$oid": "1"}, "name": "send-email", "data": {"invoice": 1}, "nextRunAt": None} | more
    assert says in told_of(row(document))["bad"][0]["error"]


def test_rows_of_a_mock_come_in_by_their_own_ids() -> None:
    file = EXPORTS / "plain.jsonl"
    assert bring(file)["counts"] == {"added": 2, "remembered": 1}
    first = Job.objects.get(unique_key="welcome-17")
    assert (first.run_at, first.priority) == (datetime(2027, 1, 31, 8, tzinfo=UTC), 10)
    assert Job.objects.get(unique_key="welcome-19").max_attempts == 3
    assert UniqueKey.objects.get().key == "welcome-18"
    assert bring(file)["counts"] == {"there": 2, "remembered": 1}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"type": "send-email", "data": {"invoice": 1}}, "it has no id"),
        ({"id": "1", "type": "send-email", "runAt": "2027-01-31T09:00:00"}, "names no time zone"),
        (
            {"id": "1", "type": "send-email", "data": {"invoice": 1}, "priority": 1},
            "first on one scale and last on another",
        ),
        ({"id": "1", "type": "send-email", "options": {"delay": 500}}, "counts from a moment that is not told"),
        ({"id": "1", "type": "send-email", "task": "send-email"}, "says again what another name says"),
        ({"id": "1", "type": "send-email", "colour": "red"}, "'colour' is not known here"),
    ],
)
def test_what_a_plain_row_leaves_open_is_asked_for(row: Callable[..., Path], record: Any, says: str) -> None:
    assert says in told_of(row(record))["bad"][0]["error"]


def test_each_shape_on_the_page_is_one_that_comes_in(row: Callable[..., Path]) -> None:
    shapes = re.findall(r"```json\n(.+?)```", PAGE.read_text(), re.S)
    assert len(shapes) >= 4
    for n, shape in enumerate(shapes):
        assert bring(row(*shape.strip().splitlines()), "--dry-run")["counts"] == {"added": 1}, n
