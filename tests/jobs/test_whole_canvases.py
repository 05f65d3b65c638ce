"""A canvas is there as a whole or not at all, and its handles are of its own jobs."""

from typing import Any

import pytest
from celery import chain, chord, group

from jobs import ledger
from jobs.models import Group, Job
from tests.jobs.races import TRANSACTIONAL
from tests.probes import add, ok, told, total

KEY: Any = {"unique_key": "k"}
CANVASES: dict[str, Any] = {
    "group": lambda: group(ok.s(n) for n in range(3)),
    "chord": lambda: chord([add.s(n, n) for n in range(3)], total.s()),
    "chain that ends in a chord": lambda: chain(group(add.s(n, n) for n in range(3)), total.s()),
}
KEYED: dict[str, Any] = {
    "member of a group": lambda: group(ok.s(1), ok.s(2).set(**KEY)),
    "first step of a chain": lambda: chain(ok.s(1).set(**KEY), ok.s()),
    "later step of a chain": lambda: chain(ok.s(1), ok.s(), ok.s().set(**KEY)),
    "one of a chord": lambda: chord([ok.s(1), ok.s(2).set(**KEY)], told.s()),
    "body of a chord": lambda: chord([ok.s(1), ok.s(2)], told.s().set(**KEY)),
    "chain as the body": lambda: chord([ok.s(1), ok.s(2)], chain(total.s(), ok.s().set(**KEY))),
}


@TRANSACTIONAL
@pytest.mark.parametrize("kind", CANVASES)
def test_a_process_that_dies_in_the_middle_leaves_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue = ledger.enqueue

    def dies(job: Job) -> Job:
        if Job.objects.count() == 2:
            raise KeyboardInterrupt
        return enqueue(job)

    monkeypatch.setattr(ledger, "enqueue", dies)
    with pytest.raises(KeyboardInterrupt):
        CANVASES[kind]().apply_async()
    assert not Job.objects.exists() and not Group.objects.exists()


@TRANSACTIONAL
@pytest.mark.parametrize("kind", KEYED)
def test_a_unique_key_in_a_canvas_is_refused_and_nothing_is_stored(kind: str) -> None:
    with pytest.raises(TypeError, match="unique_key"):
        KEYED[kind]().apply_async()
    assert not Job.objects.exists() and not Group.objects.exists()


@pytest.mark.django_db
def test_a_job_alone_and_a_callback_may_have_one() -> None:
    handle: Any = ok.apply_async((1,), unique_key="k", link=told.si("linked").set(**KEY))
    assert handle.job.unique_key == "k"
