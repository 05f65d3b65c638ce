"""How many processes a schedule needs: by hand for the small cases, and against a clock that is run for the others."""

import pytest
from hypothesis import given, strategies as st

from jobs import capacity

MINUTE = 60.0


def needed(*work: float, goal: float = 60.0) -> int:
    return capacity.needed(work, goal=goal, width=MINUTE)


@pytest.mark.parametrize(
    ("work", "processes"),
    [
        ((), 0),
        ((0.0, 0.0), 0),
        ((1.0,), 1),
        ((60.0,), 1),  # all of it due at once, and a minute to do it in
        ((61.0,), 2),
        ((600.0,), 10),
        ((60.0, 60.0, 60.0), 1),  # one process is busy all the time
        ((60.0, 61.0), 2),
        ((120.0, 0.0, 120.0), 2),  # what is late now may not become later
    ],
)
def test_by_hand(work: tuple[float, ...], processes: int) -> None:
    assert needed(*work) == processes


def test_a_looser_goal_needs_fewer() -> None:
    assert [needed(600.0, goal=goal) for goal in (1.0, 60.0, 600.0)] == [600, 10, 1]


def test_an_hour_of_one_process() -> None:
    assert capacity.an_hour(0.1, 2) == 72_000


def test_no_goal_is_no_question() -> None:
    with pytest.raises(ValueError, match="more than no time"):
        needed(1.0, goal=0.0)


def worst_wait(work: list[int], processes: int) -> float:
    """Second by second: how long the last of what falls due at a slot's start waits for its end."""
    left, worst = 0.0, 0.0
    for seconds in work:
        left += seconds
        worst = max(worst, left / processes)
        for _ in range(int(MINUTE)):
            left = max(0.0, left - processes)
    return worst


@given(st.lists(st.integers(0, 2_000), max_size=30), st.integers(1, 300))
def test_the_answer_keeps_the_goal_and_one_fewer_does_not(work: list[int], goal: int) -> None:
    processes = needed(*work, goal=goal)
    if any(work):
        assert worst_wait(work, processes) <= goal
    if processes > 1:
        assert worst_wait(work, processes - 1) > goal
