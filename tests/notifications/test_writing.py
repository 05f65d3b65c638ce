"""What keeps a message from being written: words that are wrong end it, a machine in trouble does not."""

from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from jobs.models import Job
from notifications import rendering
from tests.factories import alice, make_booking
from tests.notifications.reminding import due_now, first

pytestmark = pytest.mark.django_db

TROUBLES = [OperationalError("lock timeout"), InterfaceError("closed"), OSError(24, "files"), SoftTimeLimitExceeded()]


@pytest.mark.parametrize("trouble", TROUBLES, ids=[type(trouble).__name__ for trouble in TROUBLES])
def test_a_machine_in_trouble_is_not_a_broken_template(
    worker: Any, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """It was: a lock that came too late while words were looked for ended the reminder for good."""
    delivery = due_now(first(make_booking(alice())))
    real, troubles = rendering.render, [trouble]

    def render(*said: Any, **more: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return real(*said, **more)

    monkeypatch.setattr(rendering, "render", render)
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason, len(mail.outbox)) == ("planned", "", 0)
    Job.objects.filter(pk=delivery.pk).update(run_at=timezone.now())
    worker.run_due()
    delivery.refresh_from_db()
    assert (delivery.state, len(mail.outbox)) == ("sent", 1)
