"""One worker for all of these tests, and this process beside it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack.live import Live, pointed, started


@pytest.fixture(scope="session")
def _worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with started(tmp_path_factory.mktemp("worker"), without={"web", "flower", "beat", "clock"}) as made:
        yield made


@pytest.fixture(scope="module")
def worker(_worker: Live, django_db_blocker: Any) -> Iterator[Live]:
    with pointed(_worker, django_db_blocker):
        yield _worker
