"""Whose wish it is that Flower passes on: the user's, for the one call, and never the password."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from flower import api

from config import flower
from jobs import asker


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (basic("olga:secret"), "olga"),
        (basic("olga:se:cret"), "olga"),
        (basic("jürgen:x"), "jürgen"),
        ("Bearer abc", ""),
        ("Basic ???", ""),
        ("", ""),
    ],
)
def test_the_name_is_what_the_user_logged_in_with(header: str, name: str) -> None:
    assert flower.name_of(header) == name


def test_the_name_is_there_for_the_length_of_a_call() -> None:
    assert asker.told("Flower") == "Flower"
    assert asker.asking("olga", asker.told, "Flower") == "olga (Flower)"
    assert asker.asking("", asker.told, "Flower") == "Flower"
    with pytest.raises(ZeroDivisionError):
        asker.asking("olga", divmod, 1, 0)
    assert asker.told("Flower") == "Flower"


def handler(authorization: str, *, basic_auth: bool = True, current_user: Any = True) -> Any:
    """As Flower has one, with what the call needs of it: a pool of threads."""
    made = object.__new__(api.BaseApiHandler)

    async def run(operation: str, target: str, wish: Any, *args: Any, **kw: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: wish(*args))

    runner = SimpleNamespace(run=run)
    made.application = SimpleNamespace(options=SimpleNamespace(basic_auth=basic_auth), blocking_runner=runner)
    made.request = SimpleNamespace(headers={"Authorization": authorization})
    made._current_user = current_user
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (handler(basic("olga:secret")), "olga (Flower)"),
        (handler("", basic_auth=False, current_user="olga@example.com"), "olga@example.com (Flower)"),
        (handler("", basic_auth=False), "Flower"),
    ],
    ids=["basic", "OAuth", "nobody knows"],
)
def test_flower_passes_it_to_the_thread_that_does_it(monkeypatch: pytest.MonkeyPatch, made: Any, said: str) -> None:
    monkeypatch.setattr(api.BaseApiHandler, "run_blocking", api.BaseApiHandler.run_blocking)
    flower.install()
    assert asyncio.run(made.run_blocking("task.revoke", "id", asker.told, "Flower")) == said
