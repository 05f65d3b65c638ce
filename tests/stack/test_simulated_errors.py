"""The demo's crash, with a worker that really loses its process."""

from collections.abc import Iterator
from typing import Any

import pytest

from config.demo import errors
from tests.stack.live import Live, live

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def worker(tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("live"), django_db_blocker) as made:
        yield made


def test_a_job_that_kills_its_worker_is_tried_again_and_then_waits_for_a_person(worker: Live) -> None:
    simulate: Any = errors.simulate
    job = worker.finish(simulate.apply_async(("crash",), max_attempts=errors.CRASHES))
    assert (job.state, job.token, job.failures) == ("failed", 2, 2)
    assert [attempt.outcome for attempt in job.attempts.all()] == ["lost", "lost"]
    assert worker.finish(simulate.delay("transient")).state == "succeeded"  # the worker goes on


def test_a_worker_says_when_it_starts_what_failed_before(worker: Live) -> None:
    worker.until(lambda: "dead letters: none" in worker.log.read_text(), "it says so")
