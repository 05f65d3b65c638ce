"""Nothing is published in a request: with the broker gone every answer is the same, and none waits for it."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app

from jobs.api import throttle
from jobs.api.throttle import Counter
from jobs.models import Job, Pause
from tests.api.callers import Make
from tests.factories import HOUR, make_job

pytestmark = pytest.mark.django_db
CALLS: list[tuple[str, str, Any, int]] = [
    ("POST", "/jobs", {"task": "probe.ok"}, 201),
    ("POST", "/jobs/bulk", {"jobs": [{"task": "probe.ok"}] * 3}, 200),
    ("GET", "/jobs", None, 200),
    ("GET", "/jobs/{waiting}", None, 200),
    ("POST", "/jobs/{waiting}/run-now", {}, 200),
    ("POST", "/jobs/{waiting}/reschedule", {"delay": 60}, 200),
    ("POST", "/jobs/{waiting}/reprioritise", {"priority": "high"}, 200),
    ("DELETE", "/jobs/{waiting}", None, 200),
    ("DELETE", "/jobs/{running}", None, 200),
    ("POST", "/jobs/{failed}/retry", {}, 200),
    ("GET", "/jobs/types", None, 200),
    ("POST", "/jobs/orders", {"verb": "cancel", "which": {"queue": "default"}, "reason": "x"}, 202),
    ("GET", "/queues", None, 200),
    ("POST", "/queues/default/pause", {"reason": "x"}, 200),
    ("POST", "/queues/default/resume", {}, 200),
    ("POST", "/queues/default/clean", {"state": "failed", "older_than": 0}, 200),
    ("POST", "/queues/default/scale", {"processes": 2, "reason": "x"}, 200),
    ("GET", "/workers", None, 200),
    ("POST", "/schedules", {"name": "n", "task": "probe.ok", "every": 60}, 201),
    ("GET", "/health/ready", None, 200),
    ("GET", "/health/queues", None, 200),
]


@pytest.fixture
def dead_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A port that nobody listens on, for Celery and for what counts calls."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: it refuses for as long as we hold it
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        app: Any = current_app._get_current_object()  # type: ignore[attr-defined]
        monkeypatch.setattr(throttle, "counter", Counter(url))
        monkeypatch.setenv("CELERY_BROKER_URL", url)
        app._after_fork()
        with pytest.raises(Exception, match="refused"), app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
        yield
        monkeypatch.undo()
        app._after_fork()


def test_every_answer_is_the_same_without_a_broker(
    caller: Make, dead_broker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("kombu.Connection.connect", lambda self: asked.append(self))
    asks = caller()
    jobs = {"waiting": make_job(due=HOUR).pk, "running": make_job("running").pk, "failed": make_job("failed").pk}
    for method, path, body, code in CALLS:
        answer = asks.ask(method, path.format(**jobs), body)
        assert answer.status_code == code, (method, path, answer.data)
    assert asked == [] and not Pause.objects.exists()
    assert Job.objects.filter(task="probe.ok").count() == 3 + 1 + 3
