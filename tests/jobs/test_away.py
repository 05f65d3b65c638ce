"""Our own kinds of jobs when the database is read-only between two primaries: they come back, and none has failed."""

import pytest
from django.db import InterfaceError, InternalError, OperationalError

from jobs import registry
from jobs.durable import AWAY


def ours() -> list[str]:
    return sorted(name for name in registry.names() if name.split(".")[0] in ("jobs", "notifications"))


@pytest.mark.parametrize("name", ours())
def test_who_comes_back_when_the_database_was_away_does_so_when_it_was_read_only(name: str) -> None:
    again = getattr(registry.named(name), "autoretry_for", ())
    if OperationalError in again:
        assert set(AWAY) == {OperationalError, InterfaceError, InternalError} <= set(again)
