"""Every scale of priorities ends at the same four names."""

import pytest
from hypothesis import given, strategies as st

from jobs import priorities
from jobs.models import Priority


@pytest.mark.parametrize(
    ("value", "scale", "name"),
    [
        *[
            ("low", "ours", "LOW"),
            ("Normal", "ours", "NORMAL"),
            (" HIGH ", "ten", "HIGH"),
            ("urgent", "redis", "URGENT"),
        ],
        *[("medium", "ours", "NORMAL"), ("critical", "ours", "URGENT")],
        *[(1, "ours", "LOW"), (4, "ours", "LOW"), (5, "ours", "NORMAL"), (10, "ours", "HIGH"), (20, "ours", "URGENT")],
        *[(1, "ten", "URGENT"), (3, "ten", "HIGH"), (5, "ten", "NORMAL"), (10, "ten", "LOW"), ("1", "ten", "URGENT")],
        *[(-100, "django", "LOW"), (-1, "django", "LOW"), (0, "django", "NORMAL"), ("-5", "django", "LOW")],
        *[(1, "django", "HIGH"), (50, "django", "HIGH"), (100, "django", "URGENT")],
        *[(0, "redis", "URGENT"), (3, "redis", "HIGH"), (6, "redis", "NORMAL"), (9, "redis", "LOW")],
        *[(-20, "agenda", "LOW"), (0, "agenda", "NORMAL"), (10, "agenda", "HIGH"), (20, "agenda", "URGENT")],
        *[(0, "amqp", "LOW"), (9, "amqp", "URGENT")],
    ],
)
def test_a_value_of_a_scale_has_one_name(value, scale: str, name: str) -> None:
    assert Priority.of(value, scale=scale) == Priority[name]


@given(st.sampled_from(sorted(priorities.SCALES)), st.data())
def test_what_goes_first_on_its_scale_never_goes_later_here(scale: str, data) -> None:
    least, greatest, *_ = priorities.SCALES[scale]
    first, second = (data.draw(st.integers(least, greatest)) for _ in range(2))
    if scale in ("ten", "bullmq", "redis"):
        first, second = -first, -second
        assert (first >= second) <= (Priority.of(-first, scale=scale) >= Priority.of(-second, scale=scale))
    else:
        assert (first >= second) <= (Priority.of(first, scale=scale) >= Priority.of(second, scale=scale))


@pytest.mark.parametrize("scale", sorted(priorities.SCALES))
def test_every_name_has_its_place_on_every_scale(scale: str) -> None:
    least, greatest, *_ = priorities.SCALES[scale]
    assert {Priority.of(number, scale=scale) for number in range(least, greatest + 1)} == {*Priority}


@pytest.mark.parametrize("priority", Priority)
def test_our_own_numbers_are_their_own_names(priority: Priority) -> None:
    assert Priority.of(priority) is priority


@pytest.mark.parametrize(
    ("value", "scale", "says"),
    [
        (21, "ours", "1 to 20"),
        (0, "ten", "1 to 10"),
        (20, "redis", "0 to 9"),
        ("soon", "ours", "low, normal"),
        (5, "stars", "no scale"),
        ("", "ours", "no priority"),
    ],
)
def test_what_is_on_no_scale_is_refused(value, scale: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Priority.of(value, scale=scale)
