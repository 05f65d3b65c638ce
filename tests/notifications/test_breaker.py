"""The breaker: when a provider is left alone, for how long, and that one probe goes and not many."""

from datetime import timedelta

import pytest
from django.db.models import F

from notifications.channels import CHANNELS, Channel, breaker
from notifications.channels.base import Busy, Down, Message, Receipt, Refused, Throttled, Unknown
from notifications.models import Breaker
from tests.jobs.races import TRANSACTIONAL, at_once, need_two_writers

pytestmark = pytest.mark.django_db

MESSAGE = Message(to="+4915112345678", subject="", text="x")


def channel(*outcomes: object) -> Channel:
    left = list(outcomes)

    def send(message: Message, *, idempotency_key: str) -> Receipt:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Receipt("p")

    return Channel("sms", send, "hold", lambda message: "acme")


def call(used: Channel, times: int = 1) -> list[str]:
    said = []
    for _ in range(times):
        try:
            used.ready(MESSAGE)
            used(MESSAGE, idempotency_key="k")
            said.append("sent")
        except (Busy, Refused, Unknown) as exc:
            said.append(type(exc).__name__)
    return said


def later(seconds: int = 31) -> None:
    Breaker.objects.update(opened_at=F("opened_at") - timedelta(seconds=seconds))


def state() -> str:
    return Breaker.objects.get(provider="acme").state


def test_after_so_many_failures_in_a_row_nobody_is_asked_any_more(settings) -> None:
    settings.BREAKER_FAILURES = 3
    used = channel(Down(""), Unknown(""), Down(""), "never asked")
    assert call(used, 6) == ["Down", "Unknown", "Down", "Throttled", "Throttled", "Throttled"]
    assert state() == "open"


def test_it_says_how_long_to_wait_spread_out(settings) -> None:
    settings.BREAKER_FAILURES, settings.BREAKER_SECONDS = 1, 3000  # none of which the test itself takes
    call(channel(Down("")))
    waits = set()
    for _ in range(20):
        with pytest.raises(Throttled) as caught:
            breaker.ready("acme")
        waits.add(caught.value.retry_after)
    assert min(waits) > timedelta(seconds=2500)
    assert max(waits) < timedelta(seconds=4000)
    assert len(waits) > 5


def test_a_success_between_failures_begins_the_count_anew(settings) -> None:
    settings.BREAKER_FAILURES = 3
    failed = [Down(""), Down(""), "ok"] * 4
    assert "Throttled" not in call(channel(*failed), len(failed))
    assert state() == "closed"


@pytest.mark.parametrize("outcome", [Busy("full"), Refused("no such number"), Throttled("", timedelta(1))])
def test_what_concerns_one_message_is_no_failure_of_the_provider(settings, outcome: Exception) -> None:
    settings.BREAKER_FAILURES = 2
    assert "Throttled" not in call(channel(*[outcome] * 9), 9) or isinstance(outcome, Throttled)
    assert not Breaker.objects.filter(state="open").exists()


@pytest.mark.parametrize(("outcome", "then"), [("ok", "closed"), (Down(""), "open"), (Unknown(""), "open")])
def test_a_probe_decides(settings, outcome: object, then: str) -> None:
    settings.BREAKER_FAILURES = 1
    used = channel(Down(""), outcome, "more")
    call(used)
    later()
    call(used)
    assert state() == then
    assert call(used) == (["sent"] if then == "closed" else ["Throttled"])


def test_a_probe_that_never_told_its_outcome_is_followed_by_another(settings) -> None:
    settings.BREAKER_FAILURES = 1
    call(channel(Down("")))
    later()
    breaker.ready("acme")  # its worker dies here
    with pytest.raises(Throttled):
        breaker.ready("acme")
    later()
    breaker.ready("acme")


def test_an_answer_from_before_does_not_close_an_open_breaker(settings) -> None:
    settings.BREAKER_FAILURES = 1
    slow = channel("ok")
    slow.ready(MESSAGE)
    call(channel(Down("")))
    slow(MESSAGE, idempotency_key="k")
    assert state() == "open"


def test_a_provider_that_works_costs_no_write(django_assert_num_queries) -> None:
    used = channel("ok", "ok")
    with django_assert_num_queries(1):
        call(used)
    assert not Breaker.objects.exists()


def test_one_receiver_that_is_down_holds_up_no_other() -> None:
    of = CHANNELS["webhook"].provider
    first, second = (of(Message(to=f"https://{host}/hook", subject="", text="")) for host in ("a.example", "b.example"))
    assert first != second
    assert len(of(Message(to=f"https://{'x' * 200}.example/", subject="", text=""))) <= 40


def asked() -> bool:
    try:
        breaker.ready("acme")
    except Throttled:
        return False
    return True


@TRANSACTIONAL
def test_of_many_workers_that_see_the_time_over_one_sends_the_probe(settings) -> None:
    need_two_writers()
    settings.BREAKER_FAILURES = 1
    call(channel(Down("")))
    for _ in range(10):
        later()
        assert sum(at_once(*[asked] * 6)) == 1


@TRANSACTIONAL
def test_failures_of_many_workers_are_all_counted(settings) -> None:
    need_two_writers()
    settings.BREAKER_FAILURES = 100

    def fail() -> bool:
        return call(channel(*[Down("")] * 5), 5) == ["Down"] * 5

    assert all(at_once(*[fail] * 6))
    assert Breaker.objects.get().failures == 30
