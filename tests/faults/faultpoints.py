"""Five accidents at a provider, for three channels under three policies: `python -m tests.faults.faultpoints 200`.

Every message meets one accident at its first request, and a provider that works at the next ones. The providers are
real servers on loopback with a log of their own: what they took is what counts, not what our tables say. A crash is a
forked worker that is killed by SIGKILL between the answer and the commit. Exit 1 when a promise is broken.
"""

import argparse
import json
import os
import signal
import smtplib
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bench.database import throwaway

CHANNELS, POLICIES = ("email", "sms", "webhook"), ("hold", "resend", "keyed")
FAULTS = ("before accept", "no reply", "slow reply", "crash", "callback twice")
AMBIGUOUS = {"no reply", "slow reply", "crash"}  # and nobody tells later
PATIENT, IMPATIENT = 60.0, 0.2  # seconds until we give an answer up: one that comes, and one that is not to come


class Log:
    """What a provider took, by key, and how it behaves."""

    def __init__(self, fault: str, *, knows_keys: bool) -> None:
        self.fault, self.knows_keys = fault, knows_keys
        self.requests: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, key: str) -> str:
        """Called when a whole request has arrived. Answers how to go on: take, refuse, vanish or sleep."""
        with self._lock:
            self.requests[key] += 1
            fault = self.fault if self.requests[key] == 1 else ""
            if fault == "before accept":
                return "refuse"
            if not (self.knows_keys and self.delivered[key]):
                self.delivered[key] += 1
        return {"no reply": "vanish", "callback twice": "vanish", "slow reply": "sleep"}.get(fault, "take")


class Mails:
    def __init__(self, log: Log) -> None:
        self.log = log

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        import asyncio

        head = envelope.content.decode("utf-8", "replace").partition("\r\n\r\n")[0]
        line = next(line for line in head.splitlines() if line.lower().startswith("message-id:"))
        what = self.log.take(line.partition("<")[2].partition("@")[0])
        if what == "refuse":
            return "451 later"
        if what == "vanish":
            server.transport.abort()
        if what == "sleep":
            await asyncio.sleep(PATIENT)  # until the other side has had enough, which ends this
        return "250 OK"


@contextmanager
def provider(channel: str, log: Log) -> Iterator[str]:
    """A server that keeps `log`. Yields its address."""
    if channel == "email":
        from aiosmtpd.controller import Controller

        from config.stack.ports import free

        (port,) = free()
        controller = Controller(Mails(log), hostname="127.0.0.1", port=port, ready_timeout=PATIENT)
        controller.start()
        yield f"127.0.0.1:{port}"
        controller.stop()
        return
    from tests.provider import Request, hang, reply, reset, serving

    body = json.dumps({"sid": "SM1", "status": "queued", "num_segments": "1", "price": None, "price_unit": "USD"})

    def answer(sock: socket.socket, request: Request) -> None:
        key = request.headers.get("webhook-id") or request.fields["StatusCallback"].rstrip("/").rpartition("/")[2]
        what = log.take(key)
        if what == "vanish":
            reset(sock)
        elif what == "refuse":
            reply(429, b"{}", retry_after="1")(sock, request)
        elif what == "sleep":
            hang(sock, request)
        else:
            reply(201, body.encode(), content_type="application/json")(sock, request)

    with serving() as server:
        server.answer = answer
        yield server.url


def configure(channel: str, policy: str, address: str) -> None:
    from django.conf import settings

    settings.CHANNEL_POLICIES = {channel: policy}
    settings.KEYS_LAST_HOURS = {channel: 24} if policy == "keyed" else {}
    settings.BREAKER_FAILURES = 10**9  # it would stop a provider with so many accidents, as it should
    settings.HTTPS, settings.PUBLIC_URL = True, "https://punctual.example"
    settings.EMAIL_BACKEND, settings.EMAIL_TIMEOUT = "notifications.channels.smtp.ExactBackend", PATIENT
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, settings.TWILIO_FROM = "AC1", "secret", "+15005550006"
    settings.WEBHOOK_ALLOW_PRIVATE, settings.WEBHOOK_OUTBOX = True, False
    wait_for_answers(PATIENT)
    if channel == "email":
        settings.EMAIL_HOST, port = address.split(":")
        settings.EMAIL_PORT = int(port)
    settings.TWILIO_API_BASE = address


def wait_for_answers(seconds: float) -> None:
    """So long for the answer to a message that has been handed over. What comes before may take its time."""
    from django.conf import settings

    from notifications.channels import smtp

    limits = {"connect": PATIENT, "read": seconds, "total": PATIENT}
    settings.TWILIO_LIMITS, settings.WEBHOOK_LIMITS = limits, {**limits, "body": 65536}

    def send(self: Any, data: Any) -> None:
        smtplib.SMTP.send(self, data)
        if self.sock:
            self.sock.settimeout(seconds if isinstance(data, bytes) else PATIENT)  # commands are text

    smtp._Exact.send = send  # type: ignore


def book(channel: str, many: int, address: str) -> list[Any]:
    """Deliveries by that channel that are due now."""
    from django.utils import timezone

    from jobs.models import Job
    from notifications import bookings
    from notifications.models import Customer, Delivery, ReminderRule

    ReminderRule.objects.exclude(name__startswith="24 hours").delete()
    ReminderRule.objects.update(channels=[channel], quiet_from=None, quiet_until=None)  # it may be night
    start = timezone.now() + timedelta(days=2)
    for n in range(many):
        customer = Customer.objects.create(
            name=f"Customer {n}",
            email=f"c{n}@example.com",
            phone=f"+4915112{n:06}",
            webhook_url=f"{address}/hook" if channel == "webhook" else "",
            webhook_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        )
        bookings.book(customer=customer, service="x", starts_at=start, ends_at=start + timedelta(hours=1))
    Delivery.objects.update(send_at=timezone.now() - timedelta(seconds=1))
    Job.objects.update(run_at=timezone.now() - timedelta(seconds=1))
    return list(Delivery.objects.values_list("pk", flat=True))


def attempt(pk: Any, *, killed: bool) -> None:
    """One message of that job in a worker; or in one that dies after the answer and before the commit."""
    from django.db import connections

    if not killed:
        run(pk)
        return
    connections.close_all()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    from notifications.outcomes import Intent

    Intent.accepted = lambda self, receipt: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
    try:
        run(pk)
    finally:
        os._exit(1)


def run(pk: Any) -> None:
    from jobs.messages import NUDGE
    from notifications.reminders import deliver

    request = {"hostname": "faults", "delivery_info": {}, "id": str(pk), "task": deliver.name, NUDGE: True}
    deliver.__trace__(str(pk), (), {}, request)


def rounds(ids: list[Any], fault: str) -> None:
    """Time passes until every job has an end: pauses are over, and lost workers are found."""
    from django.db.models import Q
    from django.utils import timezone

    from jobs import ledger, rescuer
    from jobs.models import Job
    from notifications.models import Delivery

    first = True
    for _ in range(12):
        now = timezone.now()
        Job.objects.filter(state="running").update(lease_until=now - timedelta(seconds=1))
        rescuer.rescue_lost()
        Job.objects.filter(state="queued").update(state="scheduled", lease_until=None)  # of refills nobody serves here
        Job.objects.filter(state="scheduled").update(run_at=now)
        Delivery.objects.filter(state="sending").update(intent_at=now - timedelta(minutes=10))
        open_jobs = list(Job.objects.filter(pk__in=ids, state="scheduled").values_list("pk", flat=True))
        if not open_jobs:
            return
        wait_for_answers(IMPATIENT if first and fault == "slow reply" else PATIENT)
        for pk in open_jobs:
            ledger.dispatch("messages", ["notifications.deliver"], 1, Q(state="scheduled", pk=pk))
            attempt(pk, killed=fault == "crash" and first)
        if fault == "callback twice" and first:
            call_back(ids)
        first = False
    raise SystemExit(f"{fault}: jobs without an end: {len(open_jobs)}")


def call_back(ids: list[Any]) -> None:
    """The provider tells what became of each message, and tells it again."""
    from notifications.callbacks.record import Event, record

    for pk in ids:
        event = Event("faults", f"event-{pk}", "delivered", delivery=str(pk), outcome="delivered")
        told = [record(event), record(event)]
        assert told == [True, False], told


def judge(channel: str, policy: str, fault: str, log: Log) -> list[str]:
    """Prints a line, and returns what is wrong."""
    from notifications.models import Delivery

    rows = {str(row.pk): row for row in Delivery.objects.all()}
    extra = {key: count - 1 for key, count in log.delivered.items() if count > 1}
    doubted = {key for key, row in rows.items() if row.doubts or row.state == "in_doubt"}
    lost = [key for key, row in rows.items() if row.state == "sent" and not log.delivered[key]]
    odd = [key for key, row in rows.items() if row.state not in ("sent", "in_doubt")]
    wrong = []
    if policy != "resend" and extra:
        wrong.append(f"{len(extra)} duplicates")
    if uncounted := [key for key, count in extra.items() if count > rows[key].doubts]:
        wrong.append(f"{len(uncounted)} repeats not counted")
    expected = set(rows) if fault in AMBIGUOUS else set()
    if doubted != expected:
        wrong.append(f"doubts: {len(doubted - expected)} false, {len(expected - doubted)} missing")
    if lost or odd:
        wrong.append(f"{len(lost)} called sent and never taken, {len(odd)} {[rows[key].state for key in odd[:3]]}")
    states = dict(Counter(row.state for row in rows.values()))
    print(
        f"{channel:8} {policy:7} {fault:15} requests {log.requests.total():5}  taken {log.delivered.total():5}  "
        f"duplicates {sum(extra.values()):4}  doubts {len(doubted):4}  {states}  {'; '.join(wrong) or 'ok'}",
        flush=True,
    )
    return wrong


def clear() -> None:
    from jobs.models import Attempt, Job
    from notifications.models import Booking, Breaker, Customer, Delivery, ProviderEvent

    for model in (ProviderEvent, Delivery, Booking, Customer, Breaker, Attempt, Job):
        model.objects.all().delete()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("many", type=int, nargs="?", default=200)
    options.add_argument("--channel", choices=CHANNELS, action="append")
    asked = options.parse_args()
    os.environ |= {"BROKER_URL": "memory://", "LOG_LEVEL": "CRITICAL", "CELERY_EVENTS": "0"}
    wrong: list[str] = []
    with throwaway() as kind:
        from bench.worker import as_a_worker

        as_a_worker()
        print(f"{asked.many} messages for each accident, channel and policy, on {kind}")
        for channel in asked.channel or CHANNELS:
            for policy in POLICIES:
                for fault in FAULTS:
                    clear()
                    log = Log(fault, knows_keys=policy == "keyed")
                    with provider(channel, log) as address:
                        configure(channel, policy, address)
                        rounds(book(channel, asked.many, address), fault)
                        wrong += judge(channel, policy, fault, log)
                        from notifications.channels import email

                        email.close()
    print("every promise held" if not wrong else f"BROKEN: {'; '.join(wrong)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
