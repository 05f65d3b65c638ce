"""The breakers of receivers that are gone: a row per host would stay for ever."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from notifications.channels import breaker
from notifications.channels.base import Down
from notifications.models import Breaker
from notifications.pruner import prune_all
from tests.races import needs_postgresql, race

pytestmark = pytest.mark.django_db
HOST = "webhook a.example"


def a_row(provider: str = HOST, *, state: str = "closed", days: float = 31, failures: int = 0) -> None:
    Breaker.objects.create(provider=provider, state=state, failures=failures)
    Breaker.objects.filter(provider=provider).update(changed_at=Now() - timedelta(days=days))


def fails(provider: str = HOST) -> None:
    with pytest.raises(Down), breaker.watching(provider):
        raise Down("")


def left() -> list[tuple[str, str]]:
    return list(Breaker.objects.order_by("provider").values_list("provider", "state"))


@pytest.mark.parametrize("failures", [0, 2])
def test_what_was_closed_and_unchanged_for_long_goes(failures: int) -> None:
    a_row(failures=failures)
    assert (prune_all(), left()) == (1, [])


@pytest.mark.parametrize("state", ["open", "half-open"])
def test_what_is_left_alone_stays(state: str) -> None:
    a_row(state=state)
    assert (prune_all(), left()) == (0, [(HOST, state)])


def test_what_changed_lately_stays_and_so_do_our_own_providers() -> None:
    a_row(days=29)
    a_row("smtp")
    assert prune_all() == 0
    assert left() == [("smtp", "closed"), (HOST, "closed")]


@pytest.mark.parametrize("touch", [fails, lambda: breaker._worked(HOST), lambda: breaker.close([HOST])])
def test_whatever_is_written_of_a_receiver_keeps_it(touch: Callable[[], Any]) -> None:
    a_row(state="half-open")
    touch()
    Breaker.objects.update(state="closed")
    assert (prune_all(), len(left())) == (0, 1)


def test_they_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "CHUNK", 2)
    for n in range(5):
        a_row(f"webhook {n}.example")
    deleted: list[int] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if sql.startswith('DELETE FROM "notifications_breaker"'):
            deleted.append(context["cursor"].rowcount)
        return answer

    with connection.execute_wrapper(watch):
        assert prune_all() == 5
    assert deleted == [2, 2, 1]


def test_one_that_opens_between_the_look_and_the_deletion_stays(settings) -> None:
    settings.BREAKER_FAILURES = 1
    a_row()
    opened: list[str] = []

    def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('DELETE FROM "notifications_breaker"') and not opened:
            opened.append(sql)
            fails()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meanwhile):
        assert breaker.prune() == 0
    assert opened and left() == [(HOST, "open")]


@needs_postgresql
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_one_that_opens_while_the_deletion_waits_for_its_row_stays(settings) -> None:
    settings.BREAKER_FAILURES = 1
    a_row()
    race(fails, breaker.prune)
    assert left() == [(HOST, "open")]


def test_a_receiver_whose_row_went_is_counted_from_nothing(settings) -> None:
    settings.BREAKER_FAILURES = 2
    a_row(failures=1)
    prune_all()
    fails()
    assert (left(), Breaker.objects.get().failures) == ([(HOST, "closed")], 1)
    fails()
    assert left() == [(HOST, "open")]
