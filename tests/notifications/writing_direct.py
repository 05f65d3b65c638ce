"""Direct messages, and what became of them."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobs.library import people
from jobs.models import Job
from notifications import direct
from notifications.direct import Wanted
from notifications.models import DirectMessage
from tests.factories import MINUTE, alice

OLGA = people.Person("olga", lambda permission: True, user_id=None)
SECOND = timedelta(seconds=1)


def written(**said: Any) -> DirectMessage:
    usual: dict[str, Any] = {"channel": "email", "subject": "Hello", "text": "Dear {{ customer.name }}, it rains."}
    if "customer" not in said and "address" not in said:
        said["customer"] = alice().pk
    return direct.write(Wanted(**usual | said), OLGA)


def became(message: DirectMessage) -> tuple[str, str]:
    message.refresh_from_db()
    return message.state, message.reason


def job_of(message: DirectMessage) -> Any:
    return Job.objects.get(pk=message.pk)


def again(worker: Any, message: DirectMessage) -> None:
    Job.objects.filter(pk=message.pk, state="scheduled").update(run_at=timezone.now() - MINUTE)
    worker.run_due()
