import time

import pytest

from tests.stack import option_probes as probes
from tests.stack.live import Live, live


@pytest.fixture(scope="module")
def worker(tmp_path_factory, django_db_blocker):
    with live(tmp_path_factory.mktemp("live"), django_db_blocker) as made:
        yield made


def test_time_limit_of_the_task(worker: Live) -> None:
    handle = probes.limited.delay()
    worker.reach(handle, "running")
    began = time.monotonic()
    job = worker.finish(handle, 10)
    print(time.monotonic() - began)
    assert (job.state, job.reason) == ("failed", "time limit: killed after 1 s")
    with pytest.raises(Exception, match="TimeLimitExceeded"):
        handle.get(timeout=1)


def test_time_limit_of_the_call(worker: Live) -> None:
    handle = probes.sleep.apply_async(time_limit=1)
    job = worker.finish(handle)
    assert (job.state, job.reason) == ("failed", "time limit: killed after 1 s")


def test_lost(worker: Live) -> None:
    handle = probes.sleep.delay()
    worker.kill(worker.reach(handle, "running"))
    began = time.monotonic()
    while worker.row(handle).state == "running":
        time.sleep(0.01)
    print("noticed", time.monotonic() - began)
    worker.reach(handle, "queued")
    print("queued", time.monotonic() - began)
    worker.reach(handle, "running", "succeeded")
    print("running", time.monotonic() - began)
    job = worker.finish(handle)
    print(time.monotonic() - began)
    assert (job.state, job.result, job.failures) == ("succeeded", 1, 1)
    assert "SIGKILL" in job.attempts.get().error


@pytest.mark.parametrize("kind", ["stuck", "slow", "poison"])
def test_shared(worker: Live, kind) -> None:
    ids = probes.shared.enqueue_many([(n,) for n in ["a", "b", kind, "c", "d"]])
    jobs = [worker.finish(pk) for pk in ids]
    print([(j.state, j.failures, j.reason, j.token) for j in jobs])
    pass
