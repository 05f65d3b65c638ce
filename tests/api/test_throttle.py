"""How often one may call: over all processes, with Retry-After, and without the broker as well."""

import time
from collections.abc import Callable

import pytest
from limits import parse

from jobs.api import throttle
from tests.api.callers import program
from tests.virtual import one_moment as one_moment

REDIS = "redis://127.0.0.1:6379/13"


@pytest.mark.django_db
@pytest.mark.usefixtures("one_moment")
def test_a_key_that_calls_too_often_is_told_when_to_come_back() -> None:
    caller = program("jobs:read", per_minute=5)
    codes = [caller.ask("get", "jobs").status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    refused = caller.ask("get", "jobs")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["Content-Type"] == "application/problem+json"
    assert program("jobs:read", per_minute=5).ask("get", "jobs").status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("one_moment")
def test_an_address_is_limited_whatever_keys_it_tries(settings: object) -> None:
    settings.API_RATE_OF_ADDRESS = 3  # type: ignore[attr-defined]
    codes = [program("jobs:read").ask("get", "jobs").status_code for _ in range(5)]
    assert codes == [200] * 3 + [429] * 2


@pytest.mark.django_db
@pytest.mark.usefixtures("one_moment")
def test_a_network_of_ipv6_is_limited_as_one_address(settings: object) -> None:
    settings.API_RATE_OF_ADDRESS = 3  # type: ignore[attr-defined]
    caller, codes = program("jobs:read"), []
    for address in [f"2001:db8:{network}::{n}" for network in (8, 9) for n in range(4)]:
        caller.client.defaults["REMOTE_ADDR"] = address
        codes.append(caller.get("jobs").status_code)
    assert codes == [200, 200, 200, 429] * 2


@pytest.mark.django_db
@pytest.mark.usefixtures("one_moment")
def test_a_refused_call_costs_no_query(django_assert_num_queries: Callable[..., object], settings: object) -> None:
    settings.API_RATE_OF_ADDRESS = 1  # type: ignore[attr-defined]
    caller = program("jobs:read")
    caller.ask("get", "jobs")
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        assert caller.ask("get", "jobs").status_code == 429


def test_two_processes_count_together(need_server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    need_server("redis")
    monkeypatch.setattr(throttle, "PATIENCE", 60.0)  # a busy server is waited for: nobody counts for himself
    one, other, limit = throttle.Counter(REDIS), throttle.Counter(REDIS), parse("3/minute")
    who = str(time.time_ns())
    waits = [counter.hit(limit, who) for counter in (one, other, one, other)]
    assert waits[:3] == [0, 0, 0]
    assert waits[3] > 0


@pytest.mark.usefixtures("one_moment")
def test_a_dead_broker_costs_no_call_and_each_process_counts_for_itself() -> None:
    counter = throttle.Counter("redis://127.0.0.1:1/0")
    limit = parse("2/minute")
    waits = [counter.hit(limit, "alice") for _ in range(3)]
    assert waits[:2] == [0, 0]
    assert waits[2] > 0
    assert counter.away_until > time.monotonic()


def test_a_store_that_cannot_even_be_opened_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("half imported")

    monkeypatch.setattr(throttle, "storage_from_string", broken)
    assert throttle.Counter(REDIS).hit(parse("2/minute"), "alice") == 0
