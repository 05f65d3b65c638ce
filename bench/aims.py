"""Cancels and moves that meet their reminders: the racers of `bench.races`.

Each racer looks at the reminders that are due just now, takes one that is at the stage it wishes for (about to be
published, at the broker, with a worker, being sent, just sent), lets a few milliseconds pass, and changes the booking.
A reminder at which nobody aimed in time is taken late, so that every booking is raced once.
"""

import random
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

STAGES = {"sending": 35, "running": 35, "queued": 15, "scheduled": 5, "sent": 10}  # how often each is wished for
JITTER = {"running": 0.04, "queued": 0.08, "scheduled": 0.2}  # seconds, up to: over the moment of sending
AHEAD, LATE = timedelta(milliseconds=100), timedelta(seconds=3)
WINDOW = 60  # reminders looked at together
FRESH, PAUSE = 0.008, 0.004  # seconds


@dataclass(frozen=True)
class Race:
    what: str  # cancel or move
    stage: str  # at which the reminder was seen, just before
    delivery: UUID
    receipt: Any
    told_at: float  # by the steady clock, when the receipt was there
    seconds: float


class Racers:
    def __init__(self, reminders: dict[UUID, Any], lead: timedelta) -> None:
        """`reminders`: the booking of each delivery, in the order in which they fall due."""
        self.lead = lead
        self.races: list[Race] = []
        self._waiting = reminders
        self._stages: dict[UUID, str] = {}
        self._looked = 0.0
        self._lock = threading.Lock()
        self._whats = ["cancel", "move"] * (len(reminders) // 2 + 1)
        self._errors: list[BaseException] = []

    def run(self, hands: int, until: float) -> None:
        """Until every booking was raced, or that moment of the steady clock. Raises what a racer raised."""
        threads = [threading.Thread(target=self._race, args=(until,), daemon=True) for _ in range(hands)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _race(self, until: float) -> None:
        from django.db import connection

        try:
            wish = _a_wish()
            while self._waiting and not self._errors and time.monotonic() < until:
                if (taken := self._take(wish)) is None:
                    time.sleep(PAUSE)  # until the next reminder comes to that stage
                else:
                    self.races.append(self._change(*taken))
                    wish = _a_wish()
        except BaseException as exc:
            self._errors.append(exc)
        finally:
            connection.close()

    def _take(self, wish: str) -> tuple[str, str, UUID, Any] | None:
        """One at that stage, or one that has been left over."""
        with self._lock:
            if time.monotonic() - self._looked > FRESH:
                self._stages, self._looked = self._look(), time.monotonic()
            chosen = [pk for pk, stage in self._stages.items() if stage in (wish, "left over") and pk in self._waiting]
            if not chosen:
                return None
            pk = chosen[-1] if self._stages[chosen[-1]] == wish else chosen[0]
            return self._whats.pop(), self._stages[pk], pk, self._waiting.pop(pk)

    def _look(self) -> dict[UUID, str]:
        """Those that are next: the job's state, until the delivery says more."""
        from django.db.models import OuterRef, Subquery
        from django.utils import timezone

        from jobs.models import Job
        from notifications.models import Delivery

        now = timezone.now()
        soon = takewhile(lambda pair: pair[1].starts_at - self.lead < now + AHEAD, self._waiting.items())
        near = [pk for pk, _ in islice(soon, WINDOW)]
        job = Subquery(Job.objects.filter(pk=OuterRef("pk")).values("state"))
        rows = Delivery.objects.filter(pk__in=near).values_list("pk", "state", "sent_at", job)
        found = {}
        for pk, state, sent_at, job_state in rows if near else ():
            over = state not in ("planned", "sending") and now - (sent_at or now - 2 * LATE) > LATE
            found[pk] = "left over" if over else job_state if state == "planned" else state
        return {pk: found[pk] for pk in near if pk in found}

    def _change(self, what: str, stage: str, pk: UUID, booking: Any) -> Race:
        from django.utils import timezone

        from notifications import bookings

        time.sleep(random.uniform(0, JITTER.get(stage, 0)))
        began = time.monotonic()
        if what == "cancel":
            receipt = bookings.cancel(booking)
        else:
            # Far away, or so near that the reminder of the new time falls due while the race still runs.
            near = timezone.now() + self.lead + timedelta(seconds=3)
            start = random.choice([booking.starts_at + timedelta(days=30), near])
            receipt = bookings.reschedule(booking, starts_at=start, ends_at=start + timedelta(hours=1))
        told = time.monotonic()
        return Race(what, stage, pk, receipt, told, told - began)


def _a_wish() -> str:
    return random.choices(list(STAGES), list(STAGES.values()))[0]
