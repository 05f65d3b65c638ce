"""Token buckets and key limits: never more than allowed, and no less than possible."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, strategies as st

from jobs import buckets, limits
from jobs.buckets import Bucket, Rate
from jobs.models import Queue
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers

START = datetime(2027, 1, 1, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)

rates = st.builds(
    Rate,
    count=st.integers(1, 10_000),
    period=st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=1)),
    burst=st.integers(1, 10_000),
)
pauses = st.lists(st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=1)), min_size=1, max_size=40)


def draws(rate: Rate, waits: list[timedelta], wanted: int) -> list[tuple[datetime, int]]:
    """(when, how many) for draws of up to `wanted` after each of the waits."""
    bucket, now, drawn = Bucket(0, None), START, []
    for wait in waits:
        now += wait
        bucket = buckets.refilled(bucket, rate, now)
        taken = min(wanted, bucket.tokens)
        bucket = Bucket(bucket.tokens - taken, bucket.at)
        drawn.append((now, taken))
    return drawn


def test_a_token_is_never_made_twice_from_the_same_time() -> None:
    """Whoever rounds the time of a token down gives a little more each time: here one in ten."""
    rate, bucket, drawn = Rate(3, 10 * MICROSECOND, 10), Bucket(0, START), 0
    for n in range(1, 1_001):
        full = buckets.refilled(bucket, rate, START + n * MICROSECOND)
        drawn += full.tokens
        bucket = Bucket(0, full.at)
    assert drawn <= 300


@given(rates, pauses, st.integers(1, 20_000))
def test_no_window_of_time_sees_more_than_the_rate_and_a_burst(rate, waits, wanted) -> None:
    drawn = draws(rate, waits, wanted)
    for first, (since, _) in enumerate(drawn):
        total = 0
        for until, taken in drawn[first:]:
            total += taken
            assert (total - rate.burst) * (rate.period // MICROSECOND) <= rate.count * ((until - since) // MICROSECOND)


@given(rates, st.integers(1, 500))
def test_who_asks_often_gets_no_less_than_who_asks_once(rate, steps) -> None:
    empty = Bucket(0, START)
    end = START + steps * 7 * MICROSECOND
    often = empty
    for step in range(1, steps + 1):
        often = buckets.refilled(often, rate, START + step * 7 * MICROSECOND)
    once = buckets.refilled(empty, rate, end)
    assert 0 <= once.tokens - often.tokens <= 1 + rate.count * steps // (rate.period // MICROSECOND)


@given(rates, st.timedeltas(min_value=timedelta(), max_value=timedelta(days=365)))
def test_a_clock_set_back_makes_no_tokens_and_does_not_stop_the_bucket(rate, back) -> None:
    bucket = buckets.refilled(Bucket(0, START), rate, START - back)
    assert bucket == Bucket(0, START - back)
    assert buckets.refilled(bucket, rate, START - back + rate.period).tokens == min(rate.count, rate.burst)


def test_a_hundred_a_second_are_a_hundred_a_second() -> None:
    drawn = draws(Rate(100, SECOND, 100), [timedelta()] + [SECOND / 4] * 40, 1000)
    assert sum(taken for _, taken in drawn) == 100 + 1000


LIMITS = {"*": 1, "venue:*": 2, "venue:7": 3, "provider:twilio": 50, "venue:9*": 4}


@pytest.mark.parametrize(
    ("key", "limit"),
    [("venue:7", 3), ("venue:8", 2), ("venue:91", 4), ("provider:twilio", 50), ("provider:other", 1), ("", 1)],
)
def test_the_longest_fitting_key_says_how_many(key: str, limit: int) -> None:
    assert limits.key_limit(key, LIMITS) == limit


def test_without_any_row_a_key_runs_one_at_a_time() -> None:
    assert limits.key_limit("venue:7", {}) == 1


@pytest.mark.django_db
def test_the_first_look_at_the_limits_adds_the_row_for_all_others() -> None:
    assert limits.locked_key_limits() == limits.locked_key_limits() == {"*": 1}


@pytest.mark.django_db
def test_a_bucket_gives_what_it_has_and_what_time_brings() -> None:
    queue = partial(Queue.objects.get, pk="sms")
    Queue.objects.create(name="sms", rate_count=100, rate_period=SECOND, rate_burst=150)
    assert limits.draw(queue(), 120, START) == 120
    assert limits.draw(queue(), 120, START) == 30
    assert limits.draw(queue(), 120, START) == 0
    assert limits.draw(queue(), 120, START + SECOND / 2) == 50
    assert queue().dispatched == 200


@pytest.mark.django_db
def test_a_draw_from_a_bucket_that_changed_since_it_was_read_gets_nothing() -> None:
    Queue.objects.create(name="sms", rate_count=100)
    mine, other = Queue.objects.get(pk="sms"), Queue.objects.get(pk="sms")
    assert limits.draw(other, 60, START) == 60
    assert limits.draw(mine, 60, START) == 0
    assert Queue.objects.get(pk="sms").tokens == 40


@pytest.mark.django_db
def test_without_a_rate_a_queue_gives_what_is_asked() -> None:
    queue = Queue.objects.create(name="sms")
    assert limits.draw(queue, 10_000, START) == 10_000
    assert Queue.objects.get(pk="sms").dispatched == 10_000


@TRANSACTIONAL
def test_two_dispatchers_at_once_never_draw_more_than_there_is() -> None:
    need_two_writers()
    Queue.objects.create(name="sms", rate_count=100)

    def drain() -> int:
        return sum(limits.draw(Queue.objects.get(pk="sms"), 3, START) for _ in range(60))

    assert sum(at_once(drain, drain)) <= 100
    assert limits.draw(Queue.objects.get(pk="sms"), 100, START) + Queue.objects.get(pk="sms").dispatched >= 100
