"""What the site of the browser tests has in it: its people, and a row of everything."""

from datetime import time, timedelta
from functools import cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import Group, User
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from django_celery_results.models import GroupResult, TaskResult

from config import roles
from jobs.models import Attempt, JobEvent, KeyLimit, Pause, Queue, QueueWorker, TaskRate
from notifications import consent
from notifications.models import (
    Breaker,
    Delivery,
    InboxItem,
    MessageTemplate,
    OutboxMessage,
    ProviderEvent,
    ReminderRule,
    RuleOverride,
    Suppression,
)
from tests.factories import alice, bob, make_booking, make_job, make_payment

PASSWORD = "correct horse battery"
PEOPLE = {"vera": "Viewer", "olga": "Operator", "maria": "Manager", "root": ""}


@cache
def _secret() -> str:
    """As production hashes it, which is slow on purpose: once for all people of all scenes in a process."""
    return make_password(PASSWORD, hasher=PBKDF2PasswordHasher())


def set_up() -> None:
    """Once for a site."""
    if User.objects.filter(username="vera").exists():
        return
    ReminderRule.objects.update(quiet_from=None, quiet_until=None)
    roles.install()
    for name, role in PEOPLE.items():
        user = User.objects.create(username=name, password=_secret(), is_staff=True, is_superuser=not role)
        user.groups.set(Group.objects.filter(name=role))
    _machinery()
    _product()


def _machinery() -> None:
    now = timezone.now()
    for queue in ("default", "messages"):
        Queue.objects.get_or_create(name=queue)
        QueueWorker.objects.create(queue=queue, worker="worker@here", processes=2, scalable=True, seen_at=now)
    for state in ("scheduled", "queued", "running", "succeeded", "cancelled", "expired"):
        make_job(state)
    failed = make_job("failed", token=1, failures=1, reason="Flaky: broken")
    Attempt.objects.create(job=failed, number=1, outcome="errored", error="Flaky: broken", traceback="line 7")
    JobEvent.objects.create(job=failed, by="olga", verb="retry", before="failed", outcome="scheduled")
    Pause.objects.create(kind="tenant", name="practice 7", by="olga", reason="moving house")
    KeyLimit.objects.get_or_create(key="venue:7")
    TaskRate.objects.create(task="probe.ok", ordered="10/m")
    ClockedSchedule.objects.create(clocked_time=now + timedelta(days=1))
    IntervalSchedule.objects.get_or_create(every=1, period="hours")
    SolarSchedule.objects.create(event="sunrise", latitude=52, longitude=13)
    night, _ = CrontabSchedule.objects.get_or_create(minute="30", hour="2", timezone="Europe/Berlin")
    PeriodicTask.objects.create(name="at half past two", task="notifications.reconcile", crontab=night)
    TaskResult.objects.create(task_id="one", status="FAILURE", task_name="probe.fail", traceback="line 7")
    GroupResult.objects.create(group_id="some")


def _product() -> None:
    first, other = alice(phone="+4915123456789"), bob()
    booking = make_booking(first)
    make_booking(other, service="Colour", starts=timedelta(days=5))
    make_payment(first)
    consent.record(first, "email", granted=True, source="form", actor="olga", evidence="signed at the desk")
    consent.suppress("email", "gone@example.com", Suppression.Cause.BOUNCE, "550 no such user")
    doubt = booking.deliveries.order_by("send_at").last()
    assert doubt is not None
    Delivery.objects.filter(pk=doubt.pk).update(state="in_doubt", doubts=1)
    ProviderEvent.objects.create(provider="smtp", event_id="1", kind="bounced", delivery=doubt)
    InboxItem.objects.create(customer=first, key="1", title="Your appointment", body="See you, Alice")
    OutboxMessage.objects.create(channel="sms", key="1", to="+4915123456789", text="See you, Alice")
    Breaker.objects.create(provider="smtp", state="open", failures=5, opened_at=timezone.now())
    MessageTemplate.objects.create(message="booking_upcoming", channel="sms", locale="en", text="See you!")
    rule = ReminderRule.objects.filter(anchor="booking_start").first()
    assert rule is not None
    RuleOverride.objects.create(rule=rule, customer=first, at_time=time(9), active=True)
