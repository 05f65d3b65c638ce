"""How many processes a schedule of work needs: arithmetic only, neither database nor clock is touched here.

Used by `load`. Work is seconds of one process, given by slots of time. The promise: with `needed` processes nothing
that falls due waits longer than the goal, as far as the measured seconds hold. All of a slot is due at its start.
"""

from collections.abc import Sequence

HOUR = 3600.0
MOST = 100_000  # nobody has more processes


def an_hour(seconds: float, processes: int) -> float:
    """How many jobs so many processes do in an hour, when one job takes one process so many seconds."""
    return processes * HOUR / seconds


def keeps(processes: int, work: Sequence[float], *, goal: float, width: float) -> bool:
    """Whether so many processes have everything done within `goal` seconds after it is due.

    Of what is left of earlier slots each process takes `width` seconds in a slot; what is left then, with what falls
    due, must be less than they do within the goal.
    """
    left = 0.0
    for seconds in work:
        left = max(0.0, left - processes * width) + seconds
        if left > processes * goal:
            return False
    return True


def needed(work: Sequence[float], *, goal: float, width: float) -> int:
    """The fewest processes that keep the goal. None are needed where there is no work."""
    if goal <= 0 or width <= 0:
        raise ValueError("goal and width are more than no time")
    if not any(work):
        return 0
    low, high = 0, 1
    while high < MOST and not keeps(high, work, goal=goal, width=width):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle, work, goal=goal, width=width) else (middle, high)
    return high
