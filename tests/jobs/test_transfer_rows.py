"""Rows that are odd or wrong: each is told with its line and what to do."""

from typing import Any

import pytest

from jobs.models import Job
from tests.jobs.odd_files import agenda, brought, bull, file as file, plain, refused

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (plain("b", type="probe.typo"), "there is no task 'probe.typo': say which it is, --names probe.typo=TASK"),
        (plain("b", data={"invoice": "seven"}), "Argument invoice: Input should be a valid integer"),
        (plain("b", data={"invoice": 1, "more": 2}), "unexpected keyword argument 'more'"),
        (plain("a", data={"invoice": 2}), "it is the same as line 1: a"),
        (plain("b", runAt=-1), "run_at -1 is not between 1970 and 2200"),
        (plain("b", runAt=10**15), "run_at 1000000000000000 is no moment"),
        (plain("b", runAt=253_402_300_799_999), "is not between 1970 and 2200"),
        (plain("b", runAt="2201-01-01T00:00:00Z"), "is not between 1970 and 2200"),
        (plain("b", priority=10**30), "first on one scale and last on another"),
        (plain("b", attempts=-1), "max_attempts=-1 is not a number of attempts"),
        (b'{"id": "b", "type": "probe.odd", "data": {"invoice": NaN}}\n', "NaN is no number that databases take"),
        (b'{"id": "b", "type": "probe.odd", "data": {"invoice": -Infinity}}\n', "-Infinity is no number"),
        (plain("b", data={"invoice": 1, "note": "\ud800"}), "half a surrogate pair"),
    ],
    ids=range(13),
)
def test_a_row_that_is_wrong_is_told_with_its_line_and_what_to_do(file: Any, row: Any, says: str) -> None:
    said = refused(file(plain(), row), 1)
    assert "1 bad rows; nothing was written" in said and "line 2: " in said and says in said


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            bull("2", priority="2097152"),
            "Say --priorities SCALE if it is on another (BullMQ's",
        ),
        (bull("2", priority="-1"), "The priority -1 is not on the scale 'ten'"),
        (bull("2", delay=str(10**15)), "a delay of 1000000000000000 ms: the last year is 2200"),
        (bull("2", delay=str(10**13)), "is too far away; the years are 1970 to 2200"),
        (bull("2", timestamp="-5"), "timestamp '-5' is not between 1970 and 2200"),
        (bull("2", state="waiting-children"), "has no meaning here (waiting-children: let that flow end there)"),
        (bull("2", opts='{"fpof": true}'), "a parent of its flow waits for it"),
        (bull("2", parentKey="bull:flow:1"), "a parent of its flow waits for it"),
        (bull("2", opts='{"repeat": {"every": 60000}}'), "make schedules of such with --schedules"),
        (bull("2", opts='{"repeat": {"every": 60000, "limit": 3}}'), "make the schedule by hand, in the admin"),
    ],
    ids=range(10),
)
def test_what_bull_has_and_we_have_not_is_told(file: Any, row: Any, says: str) -> None:
    assert says in refused(file(bull(), row), 1)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (agenda("2", priority=21), "The priority 21 is not on the scale 'agenda' from -20 to 20"),
        (agenda("2", priority="soon"), "There is no priority 'soon'"),
        (agenda("2", nextRunAt={"$date": {"$numberLong": "-62135596800001"}}), "is no moment"),
        (agenda("2", nextRunAt={"$date": {"$numberLong": "-1"}}), "is not between 1970 and 2200"),
        (agenda("2", repeatInterval="0 9 * * *"), "make schedules of such with --schedules"),
        (agenda("2", data={"invoice": {"$numberDouble": "NaN"}}), "Argument invoice"),
        (agenda("2", data={"invoice": 1, "note": {"$numberDouble": "Infinity"}}), "Argument note"),
        (agenda("2", debounceAt=5), "debounceAt is not known here"),
    ],
    ids=range(8),
)
def test_what_agenda_has_and_we_have_not_is_told(file: Any, row: Any, says: str) -> None:
    assert says in refused(file(agenda(), row), 1)


def test_priorities_of_bullmq_and_agenda_keep_their_order_to_their_ends(file: Any) -> None:
    rows = [bull(str(n), priority=str(n)) for n in (1, 2, 3, 7, 8, 11, 2**21)]
    assert brought(file(bull("0", priority="0"), *rows), "--priorities", "bullmq") == {"added": 8}
    found = dict(Job.objects.values_list("unique_key", "priority"))
    assert [found[f"mail:{n}"] for n in (1, 2, 3, 7, 8, 11, 2**21)] == [20, 20, 10, 5, 1, 1, 1]
    assert found["mail:0"] == 5, "none was given: the task's own"
    named = [(-20, 1), (20, 20), ("lowest", 1), ("low", 1), ("normal", 5), ("high", 10), ("highest", 20)]
    made = [agenda(f"p{n}", priority=theirs, nextRunAt={"$date": 5}) for n, (theirs, _ours) in enumerate(named)]
    assert brought(file(*made)) == {"added": 7}
    mine = Job.objects.filter(unique_key__startswith="agenda:").order_by("unique_key")
    assert list(mine.values_list("priority", flat=True)) == [ours for _theirs, ours in named]


def test_a_queue_that_is_none_is_wrong_usage(file: Any) -> None:
    assert "There is no queue 'nowhere'" in refused(file(plain()), 2, "--queue", "nowhere")
