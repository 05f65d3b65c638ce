"""Programs with a key, who speak JSON."""

from collections.abc import Collection, Iterator
from typing import Any

import pytest

from jobs.api import keys, throttle
from jobs.api.scopes import SCOPES
from jobs.api.throttle import Counter
from tests.api.callers import Caller, Make, program
from tests.api.product import ALL


@pytest.fixture(autouse=True)
def _counted_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Who asked how often in another test counts for nothing here."""
    monkeypatch.setattr(throttle, "counter", Counter(""))
    yield


@pytest.fixture
def caller(db: None) -> Make:
    """caller(scopes=...) has a key with those scopes (all, if none are named), of those queues, tasks and tenants."""

    def make(scopes: Collection[str] | None = None, **limits: Any) -> Caller:
        made = program(*(SCOPES if scopes is None else scopes), **limits)
        keys.found(made.key)  # used once: later requests need not say that it is used
        return made

    return make


@pytest.fixture(name="program")
def _of_the_product(caller: Make) -> Caller:
    """May all that there is of the product."""
    return caller(scopes=ALL)
