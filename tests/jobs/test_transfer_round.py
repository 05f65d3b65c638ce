"""Whatever an export writes, an import reads back: the same jobs, field by field."""

import io
import json
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task
from hypothesis import HealthCheck, given, settings, strategies as st

from jobs.durable import Durable
from jobs.ids import new_id
from jobs.listing import Selection
from jobs.models import Job, Priority
from jobs.transfer import exporting, importing
from jobs.transfer.rows import Wanted
from jobs.transfer.sources import Source

pytestmark = pytest.mark.django_db


@shared_task(base=Durable, name="probe.round")
def anything(*args: Any, **kwargs: Any) -> None: ...


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
whole = st.integers(-(2**53), 2**53)
values = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
FIRST, LAST = datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("2199-12-30")
moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
names = st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=8), values, max_size=3)
limits = st.dictionaries(st.sampled_from(["time_limit", "soft_time_limit"]), st.integers(1, 9_999), max_size=2)
links = st.just({"link": [{"task": "probe.ok", "args": [1], "kwargs": {}, "options": {"task_id": str(new_id())}}]})
STATES = [Job.State.SCHEDULED, Job.State.FAILED, Job.State.SUCCEEDED, Job.State.CANCELLED, Job.State.EXPIRED]
rows = st.fixed_dictionaries(
    {
        "args": st.lists(values, max_size=3),
        "kwargs": names,
        "priority": st.sampled_from(Priority.values),
        "queue": st.sampled_from(["default", "messages"]),
        "state": st.sampled_from(STATES),
        "run_at": moments,
        "useful_until": st.none() | moments,
        "created_at": moments,
        "started_at": st.none() | moments,
        "finished_at": st.none() | moments,
        "reason": texts,
        "signature": texts,
        "failures": st.integers(0, 9),
        "max_attempts": st.none() | st.integers(1, 99),
        "tenant": texts,
        "concurrency_key": texts,
        "correlation_id": texts,
        "checkpoint": values,
        "progress": st.none() | st.just({"done": 1, "total": 2, "note": "ä"}),
        "log": st.lists(texts, max_size=2),
        "result": values,
        "options": limits | links,
    }
)


def everything() -> list[Any]:
    return list(Job.objects.order_by("pk").values())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(made=st.lists(rows, min_size=1, max_size=5), keyed=st.booleans())
def test_what_is_exported_is_imported_as_it_was(tmp_path: Path, made: list[dict[str, Any]], keyed: bool) -> None:
    Job.objects.all().delete()
    Job.objects.bulk_create(
        Job(task="probe.round", unique_key=f"größe {n}" if keyed else None, **fields) for n, fields in enumerate(made)
    )
    before, out, file = everything(), io.BytesIO(), tmp_path / "jobs.jsonl"
    told = exporting.export(Selection(), out)
    file.write_bytes(out.getvalue())
    assert told["jobs"] == len(made) and told["left"] == {}
    Job.objects.all().delete()
    for counts in ({"added": len(made)}, {"there": len(made)}):
        with Source(file) as source:
            seen = importing.look(source, Wanted())
            done = importing.bring_in(source, Wanted(), by="olga", reason="round")
        assert not done.bad, [row.error for row in done.bad]
        assert seen.counts == done.counts == counts
        assert everything() == before
    again = io.BytesIO()
    exporting.export(Selection(), again)
    assert again.getvalue().splitlines()[1:-1] == out.getvalue().splitlines()[1:-1]
    assert json.loads(again.getvalue().splitlines()[-1])["counts"] == told["counts"]
