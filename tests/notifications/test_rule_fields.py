"""How people say when and by what."""

from datetime import time, timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given, strategies as st

from notifications.rule_fields import ChannelsField, DurationField, moment, said, split
from tests.factories import DAY, HOUR, MINUTE


@pytest.mark.parametrize(
    ("offset", "at", "words"),
    [
        (-DAY, None, "24 hours before"),
        (-HOUR, None, "1 hour before"),
        (-15 * MINUTE, None, "15 minutes before"),
        (7 * DAY, None, "7 days after"),
        (timedelta(), None, "at that moment"),
        (-DAY, time(18), "the day before at 18:00"),
        (timedelta(), time(9), "that day at 09:00"),
        (DAY, time(9), "the day after at 09:00"),
        (-3 * DAY, time(9), "3 days before at 09:00"),
    ],
)
def test_when_in_words(offset: timedelta, at: time | None, words: str) -> None:
    assert moment(offset, at) == words


@given(seconds=st.integers(-730 * 86400, 730 * 86400))
def test_what_the_form_shows_is_what_it_says_back(seconds: int) -> None:
    value, field = timedelta(seconds=seconds), DurationField(sides=True)
    assert field.clean(field.widget.decompress(value)) == value
    assert not field.has_changed(value, [str(part) for part in field.widget.decompress(value)])
    assert said(value)


def test_a_unit_without_a_number_says_nothing() -> None:
    assert DurationField(sides=True).clean(["", "hours", "before"]) is None
    assert DurationField(empty=timedelta()).clean(["", "hours"]) == timedelta()
    with pytest.raises(ValidationError):
        DurationField(sides=True, required=True).clean(["", "hours", "before"])
    with pytest.raises(ValidationError):
        DurationField().clean(["-1", "hours"])
    with pytest.raises(ValidationError):
        DurationField().clean(["1", "fortnights"])


def test_the_largest_whole_unit_is_shown() -> None:
    assert [split(value) for value in (DAY, 2 * DAY, 90 * MINUTE, timedelta(seconds=61))] == [
        (24, "hours"),
        (2, "days"),
        (90, "minutes"),
        (61, "seconds"),
    ]


def test_channels_are_an_order_without_gaps_or_repetitions() -> None:
    field = ChannelsField(required=False)
    assert field.clean(["sms", "", "email", ""]) == ["sms", "email"]
    assert field.clean(["", "", "", ""]) == []
    assert ChannelsField(required=False, empty=None).clean(["", "", "", ""]) is None
    with pytest.raises(ValidationError):
        field.clean(["sms", "sms", "", ""])
    with pytest.raises(ValidationError):
        field.clean(["pigeon", "", "", ""])
    with pytest.raises(ValidationError):
        ChannelsField().clean(["", "", "", ""])
    assert not field.has_changed(["sms"], ["sms", "", "", ""])
