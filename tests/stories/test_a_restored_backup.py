"""The database is lost and comes back from a backup of an hour before: nobody hears twice what that hour sent.

The commands are those of docs/operating.md. The backup is a savepoint; the broker keeps what it had.
"""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import transaction

from jobs.models import Job
from notifications import reconciler
from notifications.models import Delivery
from tests.factories import HOUR, alice, bob, make_booking
from tests.stories.conftest import Day, Post

pytestmark = pytest.mark.django_db

PAGE = (Path(__file__).parents[2] / "docs/operating.md").read_text()
SECTION = PAGE.split("## A database that was restored")[1].split("\n## ")[0]
BEFORE, AFTER = (
    [line.removeprefix("$ manage.py ") for line in re.findall(r"^\$ manage\.py .+", block, re.M)]
    for block in re.findall(r"```console\n(.+?)```", SECTION, re.S)
)
HALF_AN_HOUR = HOUR / 2
BOOKED = datetime(2027, 3, 25, 10, tzinfo=UTC)
BACKUP, LOST, RESTORED = (datetime(2027, 3, 24, hour, tzinfo=UTC) for hour in (9, 11, 12))


def manage(commands: list[str]) -> None:
    for command in commands:
        call_command(*shlex.split(command))


def lived_through(day: Day) -> None:
    """Alice has booked, the backup is made, Bob books, both are reminded; then the database is as it was."""
    make_booking(alice(), starts=BOOKED)
    day.goes_on_until(BACKUP)
    backup = transaction.savepoint()
    make_booking(bob(), starts=BOOKED + HALF_AN_HOUR)
    day.goes_on_until(LOST)
    transaction.savepoint_rollback(backup)
    day.jumps_to(RESTORED)


def test_without_the_commands_who_was_reminded_is_reminded_again(day: Day, post: Post) -> None:
    lived_through(day)
    assert sorted(post.recipients) == ["alice", "bob"]
    day.goes_on_until(RESTORED + HALF_AN_HOUR)
    assert sorted(post.recipients) == ["alice", "alice", "bob"]


def test_with_them_nobody_is_and_what_is_to_come_comes(day: Day, post: Post) -> None:
    lived_through(day)
    manage(BEFORE)
    day.goes_on_until(RESTORED + HALF_AN_HOUR)  # the processes are started
    assert not Job.objects.filter(state="queued").exists()
    make_booking(bob(), starts=BOOKED + HALF_AN_HOUR)  # entered again
    reconciler.settle_all()  # as beat asks each minute
    manage(AFTER)
    day.goes_on_until(BOOKED + HOUR)
    assert sorted(post.recipients) == ["alice"] * 3 + ["bob"] * 3  # 24 hours, 1 hour and 15 minutes before
    told = dict(Delivery.objects.filter(state="skipped").values_list("customer__name", "reason"))
    assert told == {"Alice Ähre": "job_cancelled", "Bob": "lead_time_past"}
    call_command("verify")
