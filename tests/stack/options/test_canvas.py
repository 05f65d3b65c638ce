"""Celery's canvas of durable jobs, against a real worker."""

from typing import Any

import pytest
from celery import chain, chord, current_app, group
from celery.canvas import StampingVisitor  # type: ignore[attr-defined]
from celery.result import GroupResult

from tests.stack.live import Live
from tests.stack.options.refusals import add, echo, look, probes, total

pytestmark = pytest.mark.stack


def test_signatures(worker: Live) -> None:
    assert worker.finish(add.s(1).clone((2,)).apply_async()).result == 3
    assert worker.finish(add.si(1, 2).set(queue="messages").delay()).queue == "messages"
    assert worker.finish(add.signature((1, 2), countdown=0.1).apply_async()).result == 3


def test_chain(worker: Live) -> None:
    result: Any = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()
    worker.until(lambda: result.ready(), "the chain's end")
    assert result.get(timeout=1) == 10 and result.parent.parent.get(timeout=1) == 3
    assert [child.id for child in result.parent.children] == [result.id]


def test_trail(worker: Live) -> None:
    last: Any = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()
    first = last.parent.parent
    worker.until(lambda: last.ready(), "the chain's end")
    assert [child.id for child in first.children] == [last.parent.id]
    assert [value for _, value in first.collect(timeout=1)] == [3, 6, 10]
    assert first.get_leaf() == 10 and len(first.graph) == 3
    assert [child.id for _, child in first.iterdeps()] == [first.id, last.parent.id, last.id]
    hidden = probes.untrailed.apply_async(link=echo.si())
    worker.finish(hidden)
    assert hidden.children == []


def test_group(worker: Live) -> None:
    result: Any = group(add.s(n, n) for n in range(4)).apply_async()
    assert isinstance(result, GroupResult)
    worker.until(lambda: result.ready(), "the group's end")
    assert result.get(timeout=1) == [0, 2, 4, 6]


def test_chord(worker: Live) -> None:
    result: Any = chord([add.s(n, n) for n in range(4)])(total.s())
    worker.until(lambda: result.ready(), "the chord's end")
    assert result.get(timeout=1) == 12
    with pytest.raises(TypeError, match="or none of them"):
        chord([add.s(1, 1)])(current_app.tasks["celery.accumulate"].s())


class Stamp(StampingVisitor):  # type: ignore[misc]
    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"x-stamp": "red"}


def test_stamps(worker: Live) -> None:
    sig = look.s()
    sig.stamp(Stamp())
    job = worker.finish(sig.apply_async())
    assert (job.result["stamps"], job.result["stamped"]) == ({"x-stamp": "red"}, ["x-stamp"])


def test_map_and_chunks(worker: Live) -> None:
    for wrong in (lambda: add.map([1]), lambda: add.starmap([(1, 2)]), lambda: add.chunks([(1, 2)], 1)):
        with pytest.raises(TypeError, match="Call enqueue_many"):
            wrong()
    assert [worker.finish(pk).result for pk in add.enqueue_many([(1, 2), (3, 4)])] == [3, 7]
