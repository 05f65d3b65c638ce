"""Whose turn it is: tenants in turns, the urgent first, and nobody waits for ever."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from jobs import turns
from jobs.turns import Due

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LOW, NORMAL, URGENT = 1, 5, 20
TENANTS = "abc"


def due(tenant: str = "", priority: int = NORMAL, *, key: str = "", overdue: float = 1) -> Due:
    """`overdue` in seconds."""
    return Due(uuid.uuid4(), tenant, key, priority, NOW - timedelta(seconds=overdue))


def tenants(jobs: list[Due]) -> str:
    return "".join(job.tenant for job in jobs)


def test_the_more_urgent_goes_first_and_the_older_among_equals() -> None:
    low, newer, older, urgent = due(priority=LOW), due(overdue=1), due(overdue=2), due(priority=URGENT)
    assert turns.choose([low, newer, older, urgent], 4, NOW) == [urgent, older, newer, low]


def test_tenants_take_turns_although_one_came_first_with_many() -> None:
    jobs = [due("a", overdue=60) for _ in range(50)] + [due("b"), due("b"), due("c")]
    assert tenants(turns.choose(jobs, 8, NOW)) == "abcabaaa"


def test_who_holds_much_of_the_window_waits_for_those_who_hold_little() -> None:
    jobs = [due("a", URGENT, overdue=60), due("b", LOW)]
    assert tenants(turns.choose(jobs, 1, NOW, held={"a": 3})) == "b"


def test_a_key_takes_no_more_places_than_it_has_and_holds_up_nobody() -> None:
    jobs = [due(key="venue:7", overdue=60) for _ in range(5)] + [due(), due(key="venue:8")]
    chosen = turns.choose(jobs, 10, NOW, key_rooms={("", "venue:7"): 2, ("", "venue:8"): 0})
    assert Counter(job.key for job in chosen) == {"venue:7": 2, "": 1}


def test_every_tenth_place_is_the_longest_overdues_whatever_the_others_priority() -> None:
    old = [due("", LOW, overdue=3600 + n) for n in range(5)]
    stream = [due("", URGENT, overdue=0) for _ in range(100)]
    chosen = turns.choose(old + stream, 40, NOW)
    assert [place for place, job in enumerate(chosen, 1) if job.priority == LOW] == [10, 20, 30, 40]
    assert [job for job in chosen if job.priority == LOW] == list(reversed(old))[:4]


def test_the_reserved_place_comes_round_when_there_is_room_for_one_at_a_time() -> None:
    old = due("", LOW, overdue=3600)
    chosen = [turns.choose([old, due("", URGENT)], 1, NOW, place=place) for place in range(1, 21)]
    assert [place for place, jobs in enumerate(chosen, 1) if jobs == [old]] == [10, 20]


def test_what_is_not_overdue_for_long_has_no_reserved_place() -> None:
    low = due("", LOW, overdue=turns.PATIENCE.total_seconds() - 1)
    assert low not in turns.choose([low] + [due("", URGENT) for _ in range(30)], 20, NOW)


some_due = st.builds(
    due,
    st.sampled_from(TENANTS),
    st.sampled_from([LOW, NORMAL, URGENT]),
    key=st.sampled_from(["", "", "k", "l"]),
    overdue=st.integers(0, 1000),
)


@given(st.lists(some_due, max_size=60), st.integers(0, 30), st.integers(0, 5), st.integers(1, 30))
def test_every_choice_is_fair_full_and_within_its_limits(jobs, room, key_room, place) -> None:
    rooms = {(tenant, key): most for tenant in TENANTS for key, most in (("k", key_room), ("l", 1))}
    chosen = turns.choose(jobs, room, NOW, key_rooms=rooms, place=place)
    assert len({job.id for job in chosen}) == len(chosen) and {*chosen} <= {*jobs}
    keys = Counter(job.owned_key for job in chosen if job.key)
    assert all(count <= rooms[key] for key, count in keys.items())
    left = [job for job in jobs if job not in chosen]
    free = [job for job in left if not job.key or keys[job.owned_key] < rooms[job.owned_key]]
    assert len(chosen) == room or not free
    counts = Counter(job.tenant for job in chosen)
    reserved = (len(chosen) + place) // turns.RESERVED + 1
    for waiting in {job.tenant for job in free}:
        assert max(counts.values(), default=0) <= counts[waiting] + 1 + reserved
